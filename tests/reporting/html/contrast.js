// How many texts of a page are visible, and those with less contrast than arguments[0] to any
// colour that may lie behind them. Ratios are those of WCAG 2.
const parse = (text) => {
  const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
  return [r, g, b, a];
};
const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]);
const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const luminance = ([r, g, b]) =>
  0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
const ratio = (a, b) => {
  const [high, low] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (high + 0.05) / (low + 0.05);
};
// The background of an element, and each colour of a gradient that lies on it.
const behind = (element) => {
  if (!element) return [[255, 255, 255]];
  const style = getComputedStyle(element);
  const plain = parse(style.backgroundColor);
  const below = plain[3] === 1 ? [plain] : behind(element.parentElement).map((b) => over(plain, b));
  const stops = style.backgroundImage.match(/rgba?\([^)]*\)/g) || [];
  return [...below, ...stops.flatMap((stop) => below.map((b) => over(parse(stop), b)))];
};
const weak = [];
let texts = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const unread = "script, style, noscript, .unseen";
  if (!walker.currentNode.data.trim() || element.closest(unread)) continue;
  if (!element.checkVisibility()) continue;
  texts += 1;
  const style = getComputedStyle(element);
  const colour = parse(element.closest("svg") ? style.fill : style.color);
  for (const background of behind(element)) {
    const value = ratio(over(colour, background), background);
    if (value < arguments[0]) weak.push([value, walker.currentNode.data, element.className]);
  }
}
return [texts, weak];
