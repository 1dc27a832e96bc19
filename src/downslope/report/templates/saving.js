// Every figure can be saved as PNG, SVG and CSV, every table as CSV; large parts are unpacked.
const unpack = async (id) => {
  const letters = atob(document.getElementById(id).textContent.trim());
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
};

(() => {
  "use strict";
  const PAPER = "#fefefe"; // a saved figure is light, whatever the page is
  const SCALE = 3;

  const save = (name, blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const text = (content, type) => new Blob([content], { type: `${type};charset=utf-8` });

  const lightColours = () => {
    const root = document.documentElement;
    const before = root.getAttribute("data-theme");
    root.setAttribute("data-theme", "light");
    const style = getComputedStyle(root);
    const names = ["ink", "muted", "grid", "paper", "indigo", "rose", "teal", "ochre", "plum"];
    const found = Object.fromEntries(names.map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
    if (before === null) root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", before);
    return found;
  };

  const drawing = (figure) => {
    const copy = figure.querySelector(".drawing > svg").cloneNode(true);
    const [, , width, height] = copy.getAttribute("viewBox").split(" ").map(Number);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("xmlns:xlink", "http://www.w3.org/1999/xlink");
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    ground.setAttribute("width", "100%");
    ground.setAttribute("height", "100%");
    ground.setAttribute("fill", PAPER);
    copy.prepend(ground);
    const colours = lightColours();
    const source = new XMLSerializer()
      .serializeToString(copy)
      .replace(/var\(--(\w+)\)/g, (whole, name) => colours[name] ?? whole);
    return { source, width, height };
  };

  const asImage = ({ source, width, height }) =>
    new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => {
        const canvas = document.createElement("canvas");
        canvas.width = width * SCALE;
        canvas.height = height * SCALE;
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        canvas.toBlob(resolve, "image/png");
      };
      image.onerror = reject;
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
    });

  let tables = null;
  const data = async (name) => {
    tables ??= unpack("figure-data").then(JSON.parse);
    return (await tables)[name];
  };

  const kinds = {
    PNG: async (figure, name) => save(`${name}.png`, await asImage(drawing(figure))),
    SVG: async (figure, name) => save(`${name}.svg`, text(drawing(figure).source, "image/svg+xml")),
    CSV: async (_, name) => save(`${name}.csv`, text(await data(name), "text/csv")),
  };
  const bar = (label) => {
    const made = document.createElement("div");
    made.className = "save";
    made.setAttribute("role", "group");
    made.setAttribute("aria-label", label);
    return made;
  };
  const button = (kind, label, action) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = kind;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", action);
    return made;
  };

  for (const figure of document.querySelectorAll("figure[data-figure]")) {
    const name = figure.dataset.figure;
    const own = bar(`Save figure ${name}`);
    for (const [kind, act] of Object.entries(kinds))
      own.append(button(kind, `Save ${name} as ${kind}`, () => act(figure, name)));
    figure.append(own);
  }

  // The interactive figures are plotly's, which draws them once they come near.
  for (const figure of document.querySelectorAll("figure.interactive")) {
    const own = bar("Save interactive landscape");
    for (const format of ["png", "svg"])
      own.append(
        button(format.toUpperCase(), `Save the interactive landscape as ${format.toUpperCase()}`, () => {
          for (const one of figure.querySelectorAll(".js-plotly-plot")) {
            const [width, height] = [one.clientWidth, one.clientHeight];
            Plotly.downloadImage(one, { format, width, height, scale: 2, filename: `landscape-${one.id}` });
          }
        }),
      );
    own.append(
      button("CSV", "Save the interactive landscape as CSV", () => kinds.CSV(figure, "landscape-surface")),
    );
    figure.append(own);
  }

  const cell = (one) => {
    const value = one.textContent.trim();
    return /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  };
  document.querySelectorAll(".titled").forEach((titled, i) => {
    const table = titled.querySelector("table");
    const section = titled.closest("section")?.id || "table";
    const own = bar("Save table");
    own.append(
      button("CSV", `Save table as CSV: ${table.getAttribute("aria-label")}`, () => {
        const rows = [...table.rows].map((row) => [...row.cells].map(cell).join(","));
        save(`${section}-table-${i + 1}.csv`, text(`${rows.join("\n")}\n`, "text/csv"));
      }),
    );
    titled.append(own);
  });
})();
