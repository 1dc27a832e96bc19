// Figures are saved as PNG, SVG and CSV, tables as CSV; code is copied; large parts are unpacked.
const unpack = async (id) => {
  const letters = atob(document.getElementById(id).textContent.trim());
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
};
/** Reads a colour of the page as it is now, light or dark. */
const colour = (name) => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
};

(() => {
  "use strict";
  const SCALE = 4;
  const save = (name, content, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  // A saved figure is light, whatever the page is.
  const drawing = (figure) => {
    const root = document.documentElement;
    const theme = root.getAttribute("data-theme");
    root.setAttribute("data-theme", "light");
    const copy = figure.querySelector(".drawing > svg").cloneNode(true);
    const [, , width, height] = copy.getAttribute("viewBox").split(" ").map(Number);
    const attributes = { xmlns: "http://www.w3.org/2000/svg", "xmlns:xlink": "http://www.w3.org/1999/xlink", width, height };
    for (const [name, value] of Object.entries(attributes)) copy.setAttribute(name, value);
    copy.insertAdjacentHTML("afterbegin", '<rect width="100%" height="100%" fill="var(--paper)"/>');
    const source = new XMLSerializer().serializeToString(copy).replace(/var\((--\w+)\)/g, (_, name) => colour(name));
    if (theme === null) root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", theme);
    return { source, width, height };
  };
  const image = ({ source, width, height }) =>
    new Promise((resolve, reject) => {
      const picture = new Image();
      picture.onload = () => {
        const canvas = document.createElement("canvas");
        canvas.width = width * SCALE;
        canvas.height = height * SCALE;
        canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
        canvas.toBlob(resolve, "image/png");
      };
      picture.onerror = reject;
      picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
    });
  let tables = null;
  const data = async (name) => {
    tables ??= unpack("figure-data").then(JSON.parse);
    return (await tables)[name];
  };

  const button = (textContent, ariaLabel, onclick, className = "") =>
    Object.assign(document.createElement("button"), { type: "button", textContent, ariaLabel, onclick, className });
  const bar = (place, ariaLabel, ...buttons) => {
    const element = Object.assign(document.createElement("div"), { className: "save", role: "group", ariaLabel });
    element.append(...buttons);
    place.append(element);
  };
  const kinds = {
    PNG: async (figure, name) => save(`${name}.png`, await image(drawing(figure)), "image/png"),
    SVG: async (figure, name) => save(`${name}.svg`, drawing(figure).source, "image/svg+xml"),
    CSV: async (_, name) => save(`${name}.csv`, await data(name), "text/csv"),
  };
  for (const figure of document.querySelectorAll("figure[data-figure]")) {
    const name = figure.dataset.figure;
    const buttons = Object.entries(kinds).map(([kind, act]) => button(kind, `Save ${name} as ${kind}`, () => act(figure, name)));
    bar(figure, `Save figure ${name}`, ...buttons);
  }
  // The interactive figures are plotly's, which draws them once they come near.
  for (const figure of document.querySelectorAll("figure.interactive")) {
    const buttons = ["png", "svg"].map((format) =>
      button(format.toUpperCase(), `Save the interactive landscape as ${format.toUpperCase()}`, () => {
        for (const one of figure.querySelectorAll(".js-plotly-plot"))
          Plotly.downloadImage(one, { format, width: one.clientWidth, height: one.clientHeight, scale: 2, filename: `landscape-${one.id}` });
      }),
    );
    bar(figure, "Save interactive landscape", ...buttons);
  }
  const cell = (one) => {
    const value = one.textContent.trim();
    return /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  };
  document.querySelectorAll(".titled").forEach((titled, i) => {
    const table = titled.querySelector("table");
    const label = `Save table as CSV: ${table.getAttribute("aria-label")}`;
    bar(titled, "Save table", button("CSV", label, () => {
      const rows = [...table.rows].map((row) => [...row.cells].map(cell).join(","));
      save(`${titled.closest("section")?.id || "table"}-table-${i + 1}.csv`, `${rows.join("\n")}\n`, "text/csv");
    }));
  });
  for (const pre of document.querySelectorAll("pre.toml, pre.console")) {
    const text = pre.textContent;
    const copied = async ({ target }) => {
      await navigator.clipboard.writeText(text);
      target.textContent = "Copied";
    };
    pre.append(button("Copy", "Copy to the clipboard", copied, "copy"));
  }
})();
