// Tables whose headings sort and whose filters hide rows. Works on any table.sortable.
(() => {
  "use strict";

  const body = (table) => table.tBodies[0];

  // A number, or undefined for a hole, which comes last whichever way a table is sorted.
  function numberOf(cell) {
    const key = cell.dataset.key;
    return key === "" || key === undefined ? undefined : Number(key);
  }

  function compareCells(kind, direction) {
    return (a, b) => {
      if (kind === "text") return direction * a.textContent.localeCompare(b.textContent, "en");
      const [x, y] = [numberOf(a), numberOf(b)];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return direction * (x - y);
    };
  }

  function sort(table, heading) {
    const kind = heading.dataset.kind;
    const before = heading.getAttribute("aria-sort");
    const first = kind === "number" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const now = before === first ? other : first;
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", now);
    const compare = compareCells(kind, now === "ascending" ? 1 : -1);
    const place = heading.cellIndex;
    const rows = [...body(table).rows];
    rows.sort((a, b) => compare(a.cells[place], b.cells[place]));
    body(table).append(...rows);
    say(table);
  }

  function filter(table, form) {
    const wanted = [...form.querySelectorAll("[data-filter]")];
    const words = (form.querySelector("[data-filter=text]").value || "").toLowerCase().split(/\s+/);
    const exact = wanted.filter((field) => field.dataset.filter !== "text" && field.value);
    for (const row of body(table).rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !(
        words.every((word) => text.includes(word)) &&
        exact.every((field) => row.dataset[field.dataset.filter] === field.value)
      );
    }
    say(table);
  }

  // How many rows there are and in what order, for the eye and for screen readers.
  function say(table) {
    const rows = [...body(table).rows];
    const shown = rows.filter((row) => !row.hidden).length;
    const sorted = table.tHead.querySelector("[aria-sort]");
    const order = sorted ? `, sorted by ${sorted.textContent.trim()}, ${sorted.ariaSort}` : "";
    const count = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
    document.querySelector(`[role=status][data-for="${table.id}"]`).textContent = count + order;
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of table.tHead.rows[0].cells) {
      heading.querySelector("button").addEventListener("click", () => sort(table, heading));
    }
  }
  for (const form of document.querySelectorAll("form[data-table]")) {
    const table = document.getElementById(form.dataset.table);
    for (const kind of ["input", "change"]) form.addEventListener(kind, () => filter(table, form));
    form.addEventListener("submit", (event) => event.preventDefault());
    // A reset takes effect after its event.
    form.addEventListener("reset", () => setTimeout(() => filter(table, form)));
    filter(table, form); // a browser may have kept what was typed
  }
})();
