// Tables sort; trials are chosen and filtered, in the table and in every figure at once.
(() => {
  "use strict";
  const value = (cell) => {
    const text = cell.textContent.trim();
    const number = Number(text.replace(/[,\s%]/g, "").replace("−", "-"));
    return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });

  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const falling = heading.getAttribute("aria-sort") === "ascending";
        for (const other of headings) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
        rows.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null); // what is missing, last
          return falling ? compare(b, a) : compare(a, b);
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  const tests = {
    "<": (a, b) => a < b,
    ">": (a, b) => a > b,
    "<=": (a, b) => a <= b,
    ">=": (a, b) => a >= b,
    "=": (a, b) => a === b || String(a).toLowerCase() === String(b).toLowerCase(),
    "!=": (a, b) => !tests["="](a, b),
  };
  const squeezed = (text) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const plain = (text) => text.toLowerCase().replaceAll("×", "x"); // × is hard to type
  /** Turns what was typed into a test of a row; words that name no column are looked for as text. */
  const filter = (typed, names) => {
    const parts = typed.trim().split(/\s+/).filter(Boolean);
    const all = parts.map((part) => {
      const found = part.match(/^([^<>=!]+)(<=|>=|!=|<|>|=)(.+)$/);
      const column = found ? names.findIndex((name) => name.includes(squeezed(found[1]))) : -1;
      if (column < 0) return (row) => plain(row.textContent).includes(plain(part));
      const wanted = Number.isNaN(Number(found[3])) ? found[3] : Number(found[3]);
      return (row) => {
        const own = value(row.cells[column]);
        return own !== null && tests[found[2]](own, wanted);
      };
    });
    return (row) => all.every((test) => test(row));
  };

  for (const finder of document.querySelectorAll(".finder")) {
    const part = finder.dataset.part;
    const section = finder.closest("section");
    const marks = new Map(); // trial to what shows it
    for (const mark of section.querySelectorAll(`[data-trial^="${part}-"]`)) {
      const trial = mark.dataset.trial;
      if (!marks.has(trial)) marks.set(trial, []);
      marks.get(trial).push(mark);
    }
    const rows = new Map(
      [...section.querySelectorAll("tr[data-trial]")].map((row) => [row.dataset.trial, row]),
    );
    const table = rows.values().next().value.closest("table");
    const names = [...table.tHead.rows[0].cells].map((cell) => squeezed(cell.textContent));
    const query = finder.querySelector("input");
    const outcome = finder.querySelector("select");
    const count = finder.querySelector("output");
    const status = finder.querySelector("[role=status]");
    const clear = finder.querySelector(".clear");
    const outcomes = new Set();
    let chosen = null;

    const choose = (trial) => {
      for (const mark of marks.get(chosen) ?? []) mark.classList.remove("chosen");
      rows.get(chosen)?.querySelector("button.pick").setAttribute("aria-pressed", "false");
      chosen = trial === chosen ? null : trial;
      clear.hidden = chosen === null;
      section.classList.toggle("choosing", chosen !== null);
      if (chosen === null) {
        status.textContent = "No trial is chosen.";
        return;
      }
      for (const mark of marks.get(chosen)) {
        mark.classList.add("chosen");
        if (mark instanceof SVGElement && mark.tagName === "g") mark.parentNode.append(mark); // on top
      }
      const row = rows.get(chosen);
      row.querySelector("button.pick").setAttribute("aria-pressed", "true");
      status.textContent = `Trial ${chosen.slice(part.length + 1)}: ${row.dataset.about}`;
      const box = table.parentElement;
      const top = row.offsetTop - table.tHead.offsetHeight;
      if (top < box.scrollTop || row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight)
        box.scrollTop = top - box.clientHeight / 3;
    };

    const narrow = () => {
      const test = filter(query.value, names);
      let left = 0;
      for (const [trial, row] of rows) {
        const stays = test(row) && (!outcome.value || row.dataset.outcome === outcome.value);
        left += stays;
        row.hidden = !stays;
        for (const mark of marks.get(trial)) mark.classList.toggle("out", !stays);
      }
      count.textContent = `${left} of ${rows.size}`;
    };

    for (const [trial, row] of rows) {
      row.dataset.outcome = row.dataset.about.match(/\((\w+)\)/)[1];
      outcomes.add(row.dataset.outcome);
      const button = document.createElement("button");
      button.type = "button";
      button.className = "pick";
      button.textContent = row.cells[0].textContent;
      button.setAttribute("aria-label", `Choose trial ${button.textContent}`);
      button.setAttribute("aria-pressed", "false");
      row.cells[0].replaceChildren(button);
      row.addEventListener("click", () => choose(trial));
    }
    for (const option of [...outcome.options])
      if (option.value && !outcomes.has(option.value)) option.remove();

    // A thin line is hard to hit: what lies within a few pixels counts too.
    const near = (event) => {
      for (let reach = 0; reach <= 8; reach += 2)
        for (let turn = 0; turn < (reach ? 8 : 1); turn++) {
          const x = event.clientX + reach * Math.cos((turn * Math.PI) / 4);
          const y = event.clientY + reach * Math.sin((turn * Math.PI) / 4);
          const mark = document.elementFromPoint(x, y)?.closest(`svg [data-trial^="${part}-"]`);
          if (mark) return mark;
        }
      return null;
    };
    for (const svg of section.querySelectorAll(".drawing > svg")) {
      if (!svg.querySelector(`[data-trial^="${part}-"]`)) continue;
      svg.classList.add("linked");
      svg.addEventListener("click", (event) => {
        const mark = near(event);
        if (mark) choose(mark.dataset.trial);
      });
    }
    const step = (by) => {
      const shown = [...table.tBodies[0].rows].filter((row) => !row.hidden);
      if (!shown.length) return;
      const at = shown.findIndex((row) => row.dataset.trial === chosen);
      const next = at < 0 ? (by > 0 ? 0 : shown.length - 1) : (at + by + shown.length) % shown.length;
      if (shown[next].dataset.trial !== chosen) choose(shown[next].dataset.trial);
    };
    for (const button of finder.querySelectorAll(".step"))
      button.addEventListener("click", () => step(Number(button.dataset.step)));
    clear.addEventListener("click", () => choose(chosen));
    query.addEventListener("input", narrow);
    outcome.addEventListener("change", narrow);
    finder.hidden = false;
  }

  // What scrolls can be scrolled with the keyboard; what does not is no stop on its way.
  const scrollable = () => {
    for (const box of document.querySelectorAll(".formula, .drawing, pre")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  scrollable();
  window.addEventListener("resize", scrollable);
  document.addEventListener("toggle", scrollable, true);

  // Paper cannot be clicked: what is folded is shown on it.
  const folded = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = folded();
    for (const one of opened) one.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
})();
