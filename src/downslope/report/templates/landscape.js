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
    if (!chosen.logarithmic) return {};
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
  const words = (run) =>
    run.step.map((step, i) =>
      [
        `<b>${run.name || "path"}</b>, step ${step.toLocaleString("en")}`,
        `at ${run.x[i].toFixed(2)}, ${run.y[i].toFixed(2)}`,
        `true ${chosen.quantity} ${number(run.true[key()][i])}`,
        `projected ${number(run.projected[key()][i])}`,
        `${run.residual[i].toPrecision(3)} from the plane`,
      ].join("<br>"),
    );

  const solid = () => {
    const [low, high] = range().map(height);
    const surface = scene().surfaces[key()];
    const traces = [
      {
        type: "surface", x: scene().x, y: scene().y, z: surface.map((row) => row.map(height)),
        customdata: surface.map((row) => row.map(number)), colorscale: colours(), cmin: low, cmax: high,
        opacity: 0.82, showscale: false, hovertemplate: `${chosen.quantity} %{customdata}<extra></extra>`,
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
      const line = { type: "scatter3d", mode: "lines", showlegend: false };
      traces.push(
        { ...line, ...stems, hoverinfo: "skip", line: { color: "#7d8790", width: 2 } },
        {
          ...line, x: run.x, y: run.y, z: down, hoverinfo: "skip",
          line: { color: run.colour, width: 3, dash: "dash" },
        },
        {
          ...line, x: run.x, y: run.y, z: up, mode: "lines+markers", text: words(run), customdata: run.step.map((_, i) => i),
          hovertemplate: "%{text}<extra></extra>", line: { color: run.colour, width: 6 },
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
    const surface = scene().surfaces[key()];
    const step = (high - low) / 24 || 1;
    const traces = [
      {
        type: "contour", x: scene().x, y: scene().y, z: surface.map((row) => row.map(height)),
        customdata: surface.map((row) => row.map(number)), hovertemplate: `${chosen.quantity} %{customdata}<extra></extra>`,
        colorscale: colours(), zmin: low, zmax: high, connectgaps: false, line: { width: 0.4, color: "#ffffff60" },
        contours: { start: low, end: high, size: step },
        colorbar: { thickness: 12, len: 0.92, outlinewidth: 0, title: { text: name(), side: "right" }, tickformat: chosen.quantity === "loss" ? "" : ".0%", ...ticks() },
      },
    ];
    for (const run of visible()) {
      const line = { type: "scatter", x: run.x, y: run.y, showlegend: false };
      traces.push(
        { ...line, mode: "lines", hoverinfo: "skip", line: { color: "#1b2230", width: 4.5 } },
        {
          ...line, mode: "lines+markers", text: words(run), customdata: run.step.map((_, i) => i),
          hovertemplate: "%{text}<extra></extra>", line: { color: run.colour, width: 2.5 }, marker: { color: run.colour, size: 4 },
        },
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
          zaxis: {
            ...axis, showbackground: false, title: { text: up },
            tickformat: chosen.quantity === "loss" ? "" : ".0%", ...ticks(),
          },
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
    const lines = visible().map((run) => {
      const i = at(run);
      const label = scene().runs.length > 1 ? `${run.name}: ` : "";
      return (
        `${label}step ${run.step[i].toLocaleString("en")} · true ${chosen.quantity} ${number(run.true[key()][i])} · ` +
        `projected ${number(run.projected[key()][i])} · ${run.residual[i].toPrecision(3)} from the plane`
      );
    });
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

  const radios = (group, options, labels) => {
    const field = by(`terrain-${group}`);
    field.replaceChildren();
    const usable = options.filter((option) => !labels[option].absent);
    field.hidden = usable.length < 2;
    for (const option of usable) {
      const label = document.createElement("label");
      const input = document.createElement("input");
      input.type = "radio";
      input.name = `terrain-${group}`;
      input.value = option;
      input.checked = chosen[group] === option;
      input.addEventListener("change", () => {
        chosen[group] = option;
        choices();
        draw();
      });
      label.append(input, ` ${labels[option].text}`);
      field.append(label);
    }
  };
  const choices = () => {
    const here = scene().surfaces;
    if (!(key() in here)) Object.assign(chosen, { quantity: "loss", examples: "training" });
    radios("quantity", ["loss", "accuracy"], {
      loss: { text: "loss" },
      accuracy: { text: "accuracy", absent: !(`accuracy ${chosen.examples}` in here) },
    });
    radios("examples", ["training", "validation"], {
      training: { text: "training examples" },
      validation: { text: "validation examples", absent: !(`${chosen.quantity} validation` in here) },
    });
    const scale = by("terrain-logarithmic");
    scale.disabled = chosen.quantity !== "loss" || Math.min(...here[key()].flat().filter((x) => x !== null)) <= 0;
    if (scale.disabled) chosen.logarithmic = false;
    scale.checked = chosen.logarithmic;
    const runs = by("terrain-runs");
    runs.replaceChildren();
    runs.hidden = scene().runs.length < 2;
    for (const run of scene().runs) {
      const label = document.createElement("label");
      const input = document.createElement("input");
      const swatch = document.createElement("span");
      input.type = "checkbox";
      input.checked = !chosen.hidden.has(run.name);
      input.addEventListener("change", () => {
        if (input.checked) chosen.hidden.delete(run.name);
        else chosen.hidden.add(run.name);
        draw();
      });
      swatch.className = "swatch";
      swatch.style.background = run.colour;
      label.append(input, swatch, run.name);
      runs.append(label);
    }
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
