// The theme, the dialog that shows what is behind a number, and whose answers are shown.
(() => {
  "use strict";

  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  function themeChanged() {
    button.textContent = isDark() ? "Light theme" : "Dark theme";
    document.dispatchEvent(new Event("themechange"));
  }

  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    themeChanged();
  });
  dark.addEventListener("change", themeChanged);
  button.textContent = isDark() ? "Light theme" : "Dark theme";

  const dialog = document.getElementById("dialog");

  function show(details) {
    const title = details.querySelector("summary").textContent;
    const content = details.querySelector(".body").cloneNode(true);
    document.getElementById("dialog-title").textContent = title;
    document.getElementById("dialog-body").replaceChildren(content);
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  for (const link of document.querySelectorAll("a.details")) {
    link.setAttribute("aria-haspopup", "dialog");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      show(document.getElementById(link.hash.slice(1)));
    });
  }
  document.getElementById("dialog-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });

  // Of what learners called the queries, only the answers at the chosen shape.
  for (const select of document.querySelectorAll("[data-answers]")) {
    const bodies = select.closest(".set").querySelectorAll("tbody[data-column]");
    const choose = () => {
      for (const body of bodies) body.hidden = body.dataset.column !== select.value;
    };
    select.addEventListener("change", choose);
    choose();
  }

  // A link to a cell opens it.
  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (target?.matches("details")) target.open = true;
  }
  addEventListener("hashchange", openTarget);
  openTarget();
})();
