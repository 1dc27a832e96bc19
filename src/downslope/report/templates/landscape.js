(() => {
  "use strict";
  const { scenes, stops } = JSON.parse(document.getElementById("landscape-scenes").textContent);
  const by = (id) => document.getElementById(id);
  const host = by("terrain");
  const flat = by("terrain-flat");
  const slider = by("terrain-step");
  const button = by("terrain-play");
  const chosen = { scene: 0, quantity: "loss", examples: "training", logarithmic: false, hidden: new Set() };

  const scene = () => scenes[chosen.scene];
  const key = () => `${chosen.quantity} ${chosen.examples}`;
  const visible = () => scene().runs.filter((run) => !chosen.hidden.has(run.name));
  const name = () => (chosen.quantity === "loss" ? scene().loss : "accuracy");
  const last = (run) => run.step.length - 1;
  const at = (run) => Math.min(Number(slider.value), last(run));
  const number = (x) => (x === null ? "not finite" : chosen.quantity === "loss" ? x.toPrecision(4) : `${(100 * x).toFixed(2)} %`);

  // Heights are logarithms, not a logarithmic axis: plotly hides surfaces with holes on one.
  const height = (x) => (x === null || (chosen.logarithmic && x <= 0) ? null : chosen.logarithmic ? Math.log10(x) : x);
  const range = () => {
    const every = scene().surfaces[key()].flat();
    for (const run of visible()) every.push(...run.true[key()], ...run.projected[key()]);
    const finite = every.filter((x) => x !== null && (!chosen.logarithmic || x > 0));
    return finite.length ? [Math.min(...finite), Math.max(...finite)] : [0, 1];
  };
  const ticks = () => {
    const [low, high] = range();
    if (!chosen.logarithmic) return { tickformat: chosen.quantity === "loss" ? "" : ".0%" };
    const every = [];
    const steps = high < 200 * low ? [1, 2, 5] : high < 5000 * low ? [1, 3] : [1]; // as in terrain.py
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const m of steps) every.push(Number(`${m}e${e}`));
    const shown = every.filter((x) => x >= low && x <= high);
    return { tickvals: shown.map(Math.log10), ticktext: shown.map(String) };
  };
  const colours = () => {
    const scale = stops.map((colour, i) => [i / (stops.length - 1), colour]);
    // Dark is good: low loss, high accuracy.
    return chosen.quantity === "loss" ? scale : scale.map(([at], i) => [at, stops[stops.length - 1 - i]]);
  };
  const point = (run, i) => [
    `step ${run.step[i].toLocaleString("en")}`,
    `true ${chosen.quantity} ${number(run.true[key()][i])}`,
    `projected ${number(run.projected[key()][i])}`,
    `${run.residual[i].toPrecision(3)} from the plane`,
  ];
  /** What every line of a path has, which a pointer on it reads and which moves the slider. */
  const path = (run) => ({
    x: run.x, y: run.y, mode: "lines+markers", showlegend: false, customdata: run.step.map((_, i) => i),
    text: run.step.map((_, i) => [`<b>${run.name || "path"}</b>`, ...point(run, i)].join("<br>")), hovertemplate: "%{text}<extra></extra>",
  });

  const surface = (type) => ({
    type, x: scene().x, y: scene().y, z: scene().surfaces[key()].map((row) => row.map(height)), colorscale: colours(),
    customdata: scene().surfaces[key()].map((row) => row.map(number)), hovertemplate: `${chosen.quantity} %{customdata}<extra></extra>`,
  });
  const solid = () => {
    const [low, high] = range().map(height);
    const traces = [
      {
        ...surface("surface"), cmin: low, cmax: high, opacity: 0.82, showscale: false,
        lighting: { ambient: 0.82, diffuse: 0.35, specular: 0.05, roughness: 0.9 },
        contours: { x: { highlight: false }, y: { highlight: false }, z: { highlight: false } },
      },
    ];
    for (const run of visible()) {
      const [up, down] = [run.true[key()].map(height), run.projected[key()].map(height)];
      const stems = { x: [], y: [], z: [] };
      run.x.forEach((x, i) => {
        if (up[i] === null || down[i] === null) return;
        stems.x.push(x, x, null);
        stems.y.push(run.y[i], run.y[i], null);
        stems.z.push(up[i], down[i], null);
      });
      const line = { type: "scatter3d", mode: "lines", showlegend: false, hoverinfo: "skip" };
      traces.push(
        { ...line, ...stems, line: { color: "#7d8790", width: 2 } },
        { ...line, x: run.x, y: run.y, z: down, line: { color: run.colour, width: 3, dash: "dash" } },
        {
          ...path(run), type: "scatter3d", z: up, line: { color: run.colour, width: 6 },
          marker: { color: run.colour, size: 2.6, line: { color: "#1b2230", width: 0.5 } },
        },
      );
    }
    traces.push(...visible().map((run) => here(run, "scatter3d", run.true[key()].map(height))));
    return traces;
  };
  const here = (run, type, z) => {
    const i = at(run);
    const place = { x: [run.x[i]], y: [run.y[i]] };
    if (z) place.z = [z[i]];
    return {
      ...place, type, mode: "markers", hoverinfo: "skip", showlegend: false,
      marker: { color: "#ffffff", size: z ? 7 : 12, symbol: "circle", line: { color: run.colour, width: 3 } },
    };
  };
  const contour = () => {
    const [low, high] = range().map(height);
    const traces = [
      {
        ...surface("contour"), zmin: low, zmax: high, connectgaps: false, line: { width: 0.4, color: "#ffffff60" },
        contours: { start: low, end: high, size: (high - low) / 24 || 1 },
        colorbar: { thickness: 12, len: 0.92, outlinewidth: 0, title: { text: name(), side: "right" }, ...ticks() },
      },
    ];
    for (const run of visible()) {
      const casing = { type: "scatter", x: run.x, y: run.y, showlegend: false, mode: "lines", hoverinfo: "skip" };
      traces.push(
        { ...casing, line: { color: "#1b2230", width: 4.5 } },
        { ...path(run), type: "scatter", line: { color: run.colour, width: 2.5 }, marker: { color: run.colour, size: 4 } },
      );
    }
    traces.push(...visible().map((run) => here(run, "scatter")));
    return traces;
  };

  const layout = () => {
    const axis = { gridcolor: colour("--grid"), linecolor: colour("--muted"), color: colour("--ink"), zeroline: false, nticks: 6 };
    const [first, second] = scene().labels;
    const base = {
      template: "none", paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12, color: colour("--ink") }, uirevision: `scene ${chosen.scene}`,
    };
    const short = (label) => label.replace(" principal", "").replace(" of variance", "");
    const logarithmic = chosen.logarithmic ? ", log scale" : "";
    const eye = { x: 1.15, y: -1.45, z: 0.95 };
    // A narrow figure shows the whole surface from further away.
    const narrow = host.clientWidth < 520;
    const away = narrow ? 1.7 : host.clientWidth < 760 ? 1.3 : 1;
    for (const one of ["x", "y", "z"]) eye[one] *= away;
    // Labels in space run into each other where there is little of it; those from above say more.
    const [right, deep, up] = narrow
      ? ["first", "second", chosen.quantity]
      : [short(first), short(second), name().replace("cross-entropy ", "") + logarithmic];
    return [
      {
        ...base, margin: { l: 0, r: 0, t: 0, b: 0 },
        scene: {
          xaxis: { ...axis, showbackground: false, title: { text: right } },
          yaxis: { ...axis, showbackground: false, title: { text: deep } },
          zaxis: { ...axis, showbackground: false, title: { text: up }, ...ticks() },
          aspectmode: "manual", aspectratio: { x: 1.25, y: 1.1, z: 0.75 },
          camera: { eye, center: { x: 0, y: 0, z: -0.2 } },
        },
      },
      {
        ...base, margin: { l: 52, r: 8, t: 12, b: 44 },
        xaxis: { ...axis, title: { text: short(first) }, showgrid: false },
        yaxis: { ...axis, title: { text: short(second) }, showgrid: false },
      },
    ];
  };

  const config = { responsive: true, displaylogo: false, displayModeBar: false };
  const tell = () => {
    const several = scene().runs.length > 1;
    const lines = visible().map((run) => (several ? `${run.name}: ` : "") + point(run, at(run)).join(" · "));
    by("terrain-facts").textContent = lines.join("\n");
  };
  const draw = () => {
    const [solidLayout, flatLayout] = layout();
    tell();
    return Promise.all([Plotly.react(host, solid(), solidLayout, config), Plotly.react(flat, contour(), flatLayout, config)]);
  };
  // A step moves the markers alone, which are the last traces.
  const move = () => {
    const runs = visible();
    tell();
    for (const [figure, z] of [[host, true], [flat, false]]) {
      const places = runs.map((run) => at(run));
      const change = { x: runs.map((run, r) => [run.x[places[r]]]), y: runs.map((run, r) => [run.y[places[r]]]) };
      if (z) change.z = runs.map((run, r) => [height(run.true[key()][places[r]])]);
      const first = figure.data.length - runs.length;
      if (runs.length) Plotly.restyle(figure, change, runs.map((_, r) => first + r));
    }
  };

  /** Offers to choose: what changes, by its label. */
  const offer = (group, type, options, change) => {
    const field = by(`terrain-${group}`);
    field.hidden = options.length < 2;
    field.replaceChildren(
      ...options.map(({ text, value, checked, colour }) => {
        const label = document.createElement("label");
        const input = Object.assign(document.createElement("input"), { type, name: `terrain-${group}`, value, checked });
        input.addEventListener("change", () => {
          change(value, input.checked);
          choices();
          draw();
          [...field.querySelectorAll("input")].find((one) => one.value === value)?.focus(); // they are new
        });
        label.append(input);
        if (colour) {
          const swatch = label.appendChild(document.createElement("span"));
          swatch.className = "swatch";
          swatch.style.background = colour;
        }
        label.append(` ${text}`);
        return label;
      }),
    );
  };
  const choices = () => {
    const surfaces = scene().surfaces;
    if (!(key() in surfaces)) Object.assign(chosen, { quantity: "loss", examples: "training" });
    for (const [group, values, one] of [
      ["quantity", ["loss", "accuracy"], (value) => [`${value} ${chosen.examples}`, value]],
      ["examples", ["training", "validation"], (value) => [`${chosen.quantity} ${value}`, `${value} examples`]],
    ]) {
      const usable = values.filter((value) => one(value)[0] in surfaces);
      const options = usable.map((value) => ({ value, text: one(value)[1], checked: chosen[group] === value }));
      offer(group, "radio", options, (value) => (chosen[group] = value));
    }
    const runs = scene().runs.map(({ name, colour }) => ({ value: name, text: name, colour, checked: !chosen.hidden.has(name) }));
    offer("runs", "checkbox", runs, (name, shown) => chosen.hidden[shown ? "delete" : "add"](name));
    const scale = by("terrain-logarithmic");
    scale.disabled = chosen.quantity !== "loss" || Math.min(...surfaces[key()].flat().filter((x) => x !== null)) <= 0;
    if (scale.disabled) chosen.logarithmic = false;
    scale.checked = chosen.logarithmic;
    const longest = Math.max(...scene().runs.map(last));
    if (Number(slider.max) !== longest) {
      slider.max = longest;
      slider.value = longest;
    }
  };
  const enter = (index) => {
    Object.assign(chosen, { scene: index, quantity: "loss", examples: "training", logarithmic: false, hidden: new Set() });
    const [low, high] = range();
    chosen.logarithmic = low > 0 && high > 4 * low;
    slider.max = -1; // so that the last step is chosen
    choices();
  };

  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "▶";
    button.setAttribute("aria-label", "Play the path");
  };
  const play = () => {
    if (timer !== null) return stop();
    if (Number(slider.value) >= Number(slider.max)) slider.value = 0;
    button.textContent = "❚❚";
    button.setAttribute("aria-label", "Pause");
    timer = setInterval(() => {
      if (Number(slider.value) >= Number(slider.max)) return stop();
      slider.value = Number(slider.value) + 1;
      move();
    }, 80);
  };

  const start = async () => {
    const library = document.createElement("script");
    library.textContent = await unpack("plotly-source");
    document.head.append(library);
    enter(0);
    await draw();
    for (const figure of [host, flat])
      figure.on("plotly_hover", ({ points }) => {
        const place = points[0].customdata;
        if (!Number.isInteger(place) || timer !== null) return;
        slider.value = place;
        move();
      });
    const select = by("terrain-scene");
    scenes.forEach((one, i) => select.append(new Option(one.title, i)));
    by("terrain-scenes").hidden = scenes.length < 2;
    select.addEventListener("change", () => {
      stop();
      enter(Number(select.value));
      draw();
    });
    by("terrain-logarithmic").addEventListener("change", ({ target }) => {
      chosen.logarithmic = target.checked;
      draw();
    });
    slider.addEventListener("input", move);
    button.addEventListener("click", play);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    document.addEventListener("themechange", draw);
    by("terrain-controls").hidden = false;
  };

  // The library is large: it is started when its figure comes near, not before the page is read.
  const near = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      start();
    },
    { rootMargin: "1200px" },
  );
  near.observe(host);
})();
