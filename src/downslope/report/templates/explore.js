// Tables sort; trials are chosen and filtered, in the table and in every figure at once.
(() => {
  "use strict";
  const read = (text) => {
    const number = Number(text.replace(/[,\s%]/g, "").replace("−", "-"));
    return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
  };
  const value = (cell) => read(cell.textContent.trim());
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

  const plain = (text) => text.toLowerCase().replaceAll("×", "x"); // × is hard to type
  // "diverged" means "diverged: the loss is not finite" too.
  const alike = (a, b) => a === b || (a.startsWith(b) && /^[: ]/.test(a.slice(b.length)));
  const tests = {
    "<": (a, b) => a < b,
    ">": (a, b) => a > b,
    "<=": (a, b) => a <= b,
    ">=": (a, b) => a >= b,
    "=": (a, b) => (typeof a === "number" ? a === b : alike(plain(a), plain(String(b)))),
    "!=": (a, b) => !tests["="](a, b),
  };
  const squeezed = (text) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const short = { lr: "learningrate", wd: "decay", weightdecay: "decay", batchsize: "batch" };
  const columnOf = (text, names) => {
    const wanted = short[squeezed(text)] ?? squeezed(text);
    const exact = names.indexOf(wanted);
    return exact >= 0 || !wanted ? exact : names.findIndex((name) => name.includes(wanted));
  };
  const words = (text) => text.match(/"[^"]*"?|[^\s"]+/g) ?? [];
  const bare = (text) => text.replaceAll('"', "");
  /** Turns what was typed into a test of a row: comparisons with a column, and words to look for. */
  const filter = (typed, names) => {
    const all = [];
    const unknown = [];
    const look = (texts) =>
      all.push(...texts.map((text) => (row) => plain(row.textContent).includes(plain(bare(text)))));
    let end = 0;
    for (const part of typed.matchAll(/([^<>=!]*?)\s*(<=|>=|!=|<|>|=)\s*("[^"]*"?|[^\s"<>=!]*)/g)) {
      end = part.index + part[0].length;
      const before = words(part[1]);
      let count = before.length; // of the last words that name the column together
      const at = () => columnOf(bare(before.slice(before.length - count).join(" ")), names);
      while (count > 1 && at() < 0) count--;
      const column = at();
      look(before.slice(0, before.length - count));
      const wanted = read(bare(part[3]).trim());
      if (column < 0) unknown.push(bare(before.at(-1) ?? part[2]));
      else if (wanted !== null)
        all.push((row) => {
          const own = value(row.cells[column]);
          return own !== null && tests[part[2]](own, wanted);
        });
    }
    look(words(typed.slice(end)));
    return { unknown, test: (row) => all.every((test) => test(row)) };
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
    const headings = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const names = headings.map(squeezed);
    const query = finder.querySelector("input");
    const outcome = finder.querySelector("select");
    const count = finder.querySelector("output");
    const status = finder.querySelector("[role=status]");
    const clear = finder.querySelector(".clear");
    const help = finder.querySelector(".help");
    const outcomes = new Set();
    let chosen = null;
    let about = status.textContent;
    let wrong = "";

    const say = () => {
      status.textContent = status.title = wrong || about;
      status.classList.toggle("wrong", wrong !== "");
    };

    const choose = (trial) => {
      for (const mark of marks.get(chosen) ?? []) mark.classList.remove("chosen");
      rows.get(chosen)?.querySelector("button.pick").setAttribute("aria-pressed", "false");
      chosen = trial === chosen ? null : trial;
      clear.hidden = chosen === null;
      section.classList.toggle("choosing", chosen !== null);
      if (chosen === null) {
        about = "No trial is selected.";
        say();
        return;
      }
      for (const mark of marks.get(chosen)) {
        mark.classList.add("chosen");
        if (mark instanceof SVGElement && mark.tagName === "g") mark.parentNode.append(mark); // on top
      }
      const row = rows.get(chosen);
      row.querySelector("button.pick").setAttribute("aria-pressed", "true");
      about = `Trial ${chosen.slice(part.length + 1)}: ${row.dataset.about}`;
      say();
      const box = table.parentElement;
      const top = row.offsetTop - table.tHead.offsetHeight;
      if (top < box.scrollTop || row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight)
        box.scrollTop = top - box.clientHeight / 3;
    };

    const narrow = () => {
      const { unknown, test } = filter(query.value, names);
      wrong = unknown.length ? `No column “${unknown[0]}”. Columns: ${headings.join(", ")}.` : "";
      say();
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
      const number = row.cells[0].textContent;
      const names = { type: "button", className: "pick", textContent: number, ariaLabel: `Choose trial ${number}`, ariaPressed: "false" };
      row.cells[0].replaceChildren(Object.assign(document.createElement("button"), names));
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
    help?.addEventListener("click", () => {
      const text = document.getElementById(help.getAttribute("aria-controls"));
      text.hidden = !text.hidden;
      help.setAttribute("aria-expanded", String(!text.hidden));
    });
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
