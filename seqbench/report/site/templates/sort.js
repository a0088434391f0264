// Without this script a table stands in its own order; with it, a click on a heading sorts by that column.
"use strict";

function numberIn(cell) {
  const text = (cell.dataset.sort || cell.textContent).trim().replace(/,/g, "");
  const found = /^[×+]?-?\d[\d.]*(e[-+]?\d+)?/i.exec(text);
  return found ? parseFloat(found[0].replace(/^[×+]/, "")) : NaN;
}

function sortBy(table, column, ascending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, cell: row.cells[column], text: row.cells[column].textContent.trim() }));
  const blank = (one) => one.text === "" || one.text === "–";
  const numeric = rows.every((one) => blank(one) || !Number.isNaN(numberIn(one.cell)));
  rows.sort((a, b) => {
    if (blank(a) || blank(b)) return blank(a) - blank(b); // at the end, in whatever order
    const order = numeric ? numberIn(a.cell) - numberIn(b.cell) : a.text.localeCompare(b.text, "en");
    return ascending ? order : -order;
  });
  body.append(...rows.map((one) => one.row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sortBy(table, column, ascending);
    });
  });
}
