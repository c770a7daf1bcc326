(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  document.documentElement.classList.add("js");
  const tip = $("tip");
  const data = JSON.parse($("data").textContent);
  let active = null;

  // Tooltips. A title would show a second one.
  for (const title of document.querySelectorAll(".point > title")) {
    const point = title.parentNode;
    point.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  function show(point) {
    if (active === point) return;
    hide();
    active = point;
    point.classList.add("active");
    tip.textContent = point.getAttribute("aria-label");
    tip.hidden = false;
    place();
  }
  function place() {
    if (!active) return;
    const mark = active.querySelector(".mark").getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const left = mark.left + mark.width / 2 - box.width / 2;
    const above = mark.top - box.height - 10;
    tip.style.left = Math.max(6, Math.min(left, document.documentElement.clientWidth - box.width - 6)) + "px";
    tip.style.top = (above > 4 ? above : mark.bottom + 10) + "px";
  }
  function hide() {
    if (active) active.classList.remove("active");
    active = null;
    tip.hidden = true;
  }
  // The nearest mark, so that fingers need not hit it.
  function nearest(points, event) {
    let best = null, least = 26;
    for (const point of points) {
      if (point.classList.contains("gone")) continue;
      const box = point.querySelector(".mark").getBoundingClientRect();
      const away = Math.hypot(box.left + box.width / 2 - event.clientX, box.top + box.height / 2 - event.clientY);
      if (away < least) { best = point; least = away; }
    }
    return best;
  }
  for (const chart of document.querySelectorAll("svg.chart[role=group]")) {
    const points = [...chart.querySelectorAll(".point")];
    if (!points.length) continue;
    // One stop for Tab; arrow keys go from mark to mark, from left to right.
    const stop = (point) => {
      for (const other of points) other.setAttribute("tabindex", other === point ? "0" : "-1");
    };
    stop(points.find((p) => p.classList.contains("best")) || points[0]);
    // Not the chart itself: with listeners of focus it would be a stop for Tab too.
    const around = chart.parentNode;
    const react = (event) => {
      const point = nearest(points, event);
      if (point) show(point); else hide();
    };
    around.addEventListener("pointermove", react);
    around.addEventListener("click", react);
    around.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    around.addEventListener("focusin", (event) => {
      const point = event.target.closest(".point");
      if (point) { stop(point); show(point); }
    });
    around.addEventListener("focusout", hide);
    around.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const ends = { Home: 0, End: -1 }[event.key];
      if ((step === undefined && ends === undefined) || !event.target.closest(".point")) return;
      event.preventDefault();
      const box = (p) => p.querySelector(".mark").getBoundingClientRect();
      const ordered = points.filter((p) => !p.classList.contains("gone"))
        .map((p) => [p, box(p)])
        .sort((a, b) => a[1].left - b[1].left || a[1].top - b[1].top).map((pair) => pair[0]);
      const at = ordered.indexOf(document.activeElement);
      const to = step === undefined ? ordered.at(ends) : ordered[(at + step + ordered.length) % ordered.length];
      to.focus();
    });
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", place, { passive: true, capture: true });

  // Other axes for the front.
  const front = $("front-chart");
  const NS = "http://www.w3.org/2000/svg";
  function element(name, attributes, text) {
    const made = document.createElementNS(NS, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function axis(values, start, end) {
    let low = Math.min(...values), high = Math.max(...values);
    const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
    low -= room; high += room;
    const raw = (high - low) / 8, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw * 0.999);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const place = (v) => start + (v - low) / (high - low) * (end - start);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k <= Math.floor(high / step + 1e-9); k++) {
      ticks.push([place(k * step), (k * step + 0).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })]);
    }
    return { place, ticks };
  }
  function redraw() {
    hide();
    const x = $("axis-x").value, y = $("axis-y").value;
    const points = [...front.querySelectorAll(".point")];
    const here = [];
    for (const point of points) {
      const mark = data.marks[point.dataset.number];
      const gone = !(x in mark.v && y in mark.v);
      point.classList.toggle("gone", gone);
      point.setAttribute("display", gone ? "none" : "inline");
      if (!gone) here.push([point, mark]);
    }
    if (!here.length) return;
    const ends = here.flatMap(([, m]) => m.i[y] || []);
    const across = axis(here.map(([, m]) => m.v[x]), 52, 408);
    const down = axis(here.map(([, m]) => m.v[y]).concat(ends), 254, 12);
    for (const [point, mark] of here) {
      const at = across.place(mark.v[x]), height = down.place(mark.v[y]);
      point.setAttribute("transform", `translate(${at} ${height})`);
      const old = point.querySelector(".whisker");
      if (old) old.remove();
      if (mark.i[y]) {
        const [low, high] = mark.i[y].map((v) => down.place(v) - height);
        point.prepend(element("path", { class: "whisker", d: `M0 ${low}V${high}` }));
      }
    }
    const [xs, ys] = [front.querySelector(".x"), front.querySelector(".y")];
    xs.querySelector(".ticks").replaceChildren(...across.ticks.map(([at, text]) =>
      element("text", { x: at, y: 270, "text-anchor": "middle" }, text)));
    ys.querySelector(".ticks").replaceChildren(...down.ticks.flatMap(([at, text]) => [
      element("path", { class: "grid", d: `M52 ${at}H408` }),
      element("text", { x: 46, y: at + 4, "text-anchor": "end" }, text)]));
    xs.querySelector(".name").textContent = data.axes[x][0];
    ys.querySelector(".name").textContent = data.axes[y][0];
    const title = `${data.axes[y][1]} of the candidates over ${data.axes[x][1]}`;
    front.setAttribute("aria-label", title);
    $("front-title").textContent = title;
  }
  if (front) {
    $("axis-x").addEventListener("change", redraw);
    $("axis-y").addEventListener("change", redraw);
  }

  // The table of candidates.
  const table = $("trials"), body = table.tBodies[0], rows = [...body.rows];
  const number = (text) => (/^-?[\d.,]/.test(text) ? parseFloat(text.replaceAll(",", "")) : NaN);
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const numeric = head.classList.contains("n");
      const keyed = rows.map((row) => {
        const text = row.cells[column].textContent;
        return [row, numeric ? number(text) : text];
      });
      keyed.sort(([, a], [, b]) => {
        const empty = (v) => v === "" || Number.isNaN(v);
        if (empty(a) || empty(b)) return empty(a) - empty(b); // what is missing comes last
        return (numeric ? a - b : a.localeCompare(b)) * (up ? 1 : -1);
      });
      body.append(...keyed.map((pair) => pair[0]));
    });
  });
  $("search").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      found += !row.hidden;
    }
    $("found").textContent = words.length ? `${found} of ${rows.length} candidates` : "";
  });

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const code = $(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(code.textContent);
        $("copied").textContent = "Copied.";
      } catch {
        getSelection().selectAllChildren(code);
        $("copied").textContent = "Selected; press Ctrl+C to copy.";
      }
    });
  }
})();
