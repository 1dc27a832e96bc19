(() => {
  "use strict";
  // The library is large: it is started when its figure comes near, not before the page is read.
  const host = document.getElementById("terrain");
  const figure = JSON.parse(document.getElementById("terrain-figure").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const path = figure.data.findIndex((trace) => trace.name === "path at its true loss");
  const here = figure.data.findIndex((trace) => trace.name === "here");

  const value = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const theme = () => {
    const layout = { "font.color": value("--ink") };
    for (const axis of ["xaxis", "yaxis", "zaxis"]) {
      layout[`scene.${axis}.gridcolor`] = value("--grid");
      layout[`scene.${axis}.linecolor`] = value("--muted");
      layout[`scene.${axis}.color`] = value("--ink");
    }
    return layout;
  };

  const start = async () => {
    const library = document.createElement("script");
    library.textContent = await unpack("plotly-source");
    document.head.append(library);
    draw();
  };

  const draw = () => {
    const config = { responsive: true, displaylogo: false, displayModeBar: false };
    if (host.clientWidth < 520) {
      // A narrow figure shows the whole surface from further away.
      const eye = figure.layout.scene.camera.eye;
      for (const axis of ["x", "y", "z"]) eye[axis] *= 1.25;
    }
    Plotly.newPlot(host, figure.data, figure.layout, config)
      .then(() => Plotly.relayout(host, theme()))
      .then(() => {
        const points = host.data[path];
        const controls = document.getElementById("terrain-controls");
        const slider = document.getElementById("terrain-step");
        const facts = document.getElementById("terrain-facts");
        const button = document.getElementById("terrain-play");
        const shown = host._fullData[path]; // numbers, where the figure holds packed arrays
        let timer = null;

        const show = () => {
          const i = Number(slider.value);
          Plotly.restyle(host, { x: [[shown.x[i]]], y: [[shown.y[i]]], z: [[shown.z[i]]] }, [here]);
          const [step, loss, projected, residual] = points.customdata[i];
          const nats = (x) => (Number.isFinite(x) ? x.toFixed(4) : "not finite");
          facts.textContent =
            `step ${step.toLocaleString("en")} · true loss ${nats(loss)} · ` +
            `projected ${nats(projected)} · ${residual.toFixed(3)} from the plane`;
        };
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
            show();
          }, 80);
        };

        slider.addEventListener("input", show);
        button.addEventListener("click", play);
        dark.addEventListener("change", () => Plotly.relayout(host, theme()));
        document.addEventListener("themechange", () => Plotly.relayout(host, theme()));
        controls.hidden = false;
        show();
      });
  };

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
