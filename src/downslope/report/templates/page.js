(() => {
  "use strict";
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

  const config = { responsive: true, displaylogo: false, displayModeBar: false };
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
      controls.hidden = false;
      show();
    });
})();
