// The attention explorer's screen: token-to-token lines and the matrix, linked. Plain DOM and
// canvas, nothing from the network. Tokens are untrusted text: they only ever reach textContent,
// title and fillText, never innerHTML.

// Matplotlib's cividis, so that the explorer and the static map look alike.
const CIVIDIS = [
  [0, 34, 78], [0, 49, 112], [42, 63, 109], [67, 78, 108], [87, 93, 109], [106, 108, 113],
  [125, 124, 120], [145, 139, 120], [165, 156, 116], [188, 174, 108], [210, 192, 96],
  [233, 211, 78], [254, 232, 56],
];
const HELP = "Point at a token or a cell. Click a query to keep it.";
const KEYS =
  "Keys, in the list of queries: ↑ ↓ query, ← → head, Page Up and Page Down layer, Esc lets go.";
const LABEL_LIMIT = 14; // letters
let views = 0;

function create(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = `course-explorer-${name}`;
  if (text !== undefined) node.textContent = text;
  return node;
}

function printable(token) {
  return token.trim() ? token.replace(/\n/g, "↵").replace(/\t/g, "⇥") : "␣";
}

function shorten(token) {
  const letters = [...printable(token)];
  return letters.length > LABEL_LIMIT
    ? letters.slice(0, LABEL_LIMIT - 1).join("") + "…"
    : letters.join("");
}

function rampColour(part) {
  const place = Math.min(Math.max(part, 0), 1) * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  return CIVIDIS[low].map((value, i) =>
    Math.round(value + (place - low) * (CIVIDIS[low + 1][i] - value)),
  );
}

function luminance([red, green, blue]) {
  const linear = (value) =>
    value / 255 <= 0.04045 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

/** The float32 numbers of one layer and head, (query, key) row by row. */
function weightReader(model) {
  const [, heads, queries, keys] = model.get("_shape");
  const sent = model.get("_weights"); // a DataView, or an ArrayBuffer from older managers
  const bytes = sent.buffer
    ? sent.buffer.slice(sent.byteOffset, sent.byteOffset + sent.byteLength)
    : sent;
  const numbers = new Float32Array(bytes);
  const size = queries * keys;
  return (layer, head) => {
    const start = (layer * heads + head) * size;
    return numbers.subarray(start, start + size);
  };
}

/** Where the colour scale ends: 1, or a round number where all weights are small. */
function scaleEnd(weights) {
  let largest = 0;
  for (const weight of weights) if (weight > largest) largest = weight;
  if (largest >= 0.5) return 1;
  return [0.05, 0.1, 0.2, 0.3, 0.4, 0.5].find((end) => largest <= 1.001 * end) ?? 1;
}

/** Sets a canvas to a size in CSS pixels and returns its context, sharp on any screen. */
function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

function render({ model, el }) {
  const id = `course-explorer-${++views}`;
  const [layers, heads, queries, keys] = model.get("_shape");
  const queryTokens = model.get("query_tokens");
  const keyTokens = model.get("key_tokens");
  const weightsOf = weightReader(model);
  let hover = { query: null, key: null };
  let frame = 0;

  // ---- the parts of the screen

  const root = create("div");
  root.className = "course-explorer";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", model.get("title"));
  // JupyterLab takes arrow keys for itself unless told not to.
  root.setAttribute("data-lm-suppress-shortcuts", "true");

  const controls = create("div", "controls");
  const layerChoice = addChoice("Layer", model.get("layer_names"), "layer", layers);
  const headNames = Array.from({ length: heads }, (_, n) => `head ${n + 1}`);
  const headChoice = addChoice("Head", headNames, "head", heads);

  const lines = create("div", "lines");
  const lineCanvas = create("canvas");
  lineCanvas.setAttribute("aria-hidden", "true");
  const queryList = create("div", "tokens course-explorer-queries");
  queryList.setAttribute("role", "listbox");
  queryList.setAttribute("aria-label", "Query tokens, which look. Arrow keys choose.");
  queryList.tabIndex = 0;
  const keyList = create("div", "tokens course-explorer-keys");
  keyList.setAttribute("role", "list");
  keyList.setAttribute("aria-label", "Key tokens, which are looked at");
  const pitch = Math.round(Math.min(Math.max(420 / Math.max(queries, keys), 15), 26));
  const queryNodes = queryTokens.map((token, n) => addToken(queryList, token, n, "option"));
  const keyNodes = keyTokens.map((token, n) => addToken(keyList, token, n, "listitem"));
  lines.append(
    create("div", "heading", "query (looks)"),
    create("div", "heading"),
    create("div", "heading", "key (is looked at)"),
    queryList,
    lineCanvas,
    keyList,
  );

  const matrix = create("div", "matrix");
  const matrixCanvas = create("canvas");
  matrixCanvas.setAttribute("role", "img");
  const scale = create("div", "scale");
  const ramp = create("span", "ramp");
  const rampStops = CIVIDIS.map((stop) => `rgb(${stop})`);
  ramp.style.background = `linear-gradient(to right, ${rampStops.join(", ")})`;
  const rampEnd = create("span");
  scale.append(create("span", "", "weight 0"), ramp, rampEnd);
  matrix.append(matrixCanvas, scale);

  const viewsBox = create("div", "views");
  viewsBox.append(lines, matrix);
  const readout = create("div", "readout");
  const spoken = create("div", "spoken");
  spoken.setAttribute("role", "status");
  spoken.setAttribute("aria-live", "polite");
  const tip = create("div", "tip");
  tip.hidden = true;
  root.append(
    create("div", "title", model.get("title")),
    controls,
    readout,
    viewsBox,
    create("div", "note", KEYS),
    create("div", "note", model.get("_warning")),
    spoken,
    tip,
  );
  el.append(root);

  function addChoice(label, names, trait, count) {
    const select = create("select");
    select.setAttribute("aria-label", label);
    for (const [n, name] of names.entries()) {
      const option = create("option", "", name);
      option.value = String(n);
      select.append(option);
    }
    select.addEventListener("change", () => choose(trait, Number(select.value)));
    if (count > 1) {
      const box = create("label");
      box.append(create("span", "", label), select);
      controls.append(box);
    }
    return select;
  }

  function addToken(list, token, n, role) {
    const node = create("div", "token");
    const word = create("span", "word", shorten(token));
    node.id = `${id}-${role}-${n}`;
    node.setAttribute("role", role);
    node.title = token;
    node.style.height = `${pitch}px`;
    node.style.fontSize = `${Math.min(13, pitch - 3)}px`;
    node.append(word);
    if (role === "listitem") node.append(create("span", "number"));
    const ours = role === "option" ? { query: n, key: null } : { query: null, key: n };
    node.addEventListener("pointerenter", () => point(ours));
    node.addEventListener("pointerleave", () => point({ query: null, key: null }));
    if (role === "option") node.addEventListener("click", () => pin(n));
    list.append(node);
    return node;
  }

  // ---- what is selected

  function choose(trait, value) {
    model.set(trait, value);
    model.save_changes();
  }

  function pin(query) {
    choose("token", model.get("token") === query ? null : query);
  }

  function step(trait, count, by) {
    const next = Math.min(Math.max(model.get(trait) + by, 0), count - 1);
    if (next !== model.get(trait)) choose(trait, next);
  }

  function point(at) {
    hover = at;
    schedule();
  }

  const moves = {
    ArrowDown: () => (model.get("token") === null ? pin(0) : step("token", queries, 1)),
    ArrowUp: () => (model.get("token") === null ? pin(queries - 1) : step("token", queries, -1)),
    Home: () => choose("token", 0),
    End: () => choose("token", queries - 1),
    ArrowRight: () => step("head", heads, 1),
    ArrowLeft: () => step("head", heads, -1),
    PageDown: () => step("layer", layers, 1),
    PageUp: () => step("layer", layers, -1),
    Escape: () => choose("token", null),
    Enter: () => pin(model.get("token") ?? 0),
    " ": () => pin(model.get("token") ?? 0),
  };
  queryList.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    hover = { query: null, key: null };
    move();
  });

  // ---- drawing

  function selection() {
    const weights = weightsOf(model.get("layer"), model.get("head"));
    const pointed = hover.query !== null || hover.key !== null;
    const shown = pointed ? hover : { query: model.get("token"), key: null };
    return { weights, end: scaleEnd(weights), ...shown };
  }

  function schedule() {
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    if (!root.isConnected) return;
    root.toggleAttribute("data-dark", luminance(textColour()) > 0.4);
    const now = selection();
    layerChoice.value = String(model.get("layer"));
    headChoice.value = String(model.get("head"));
    rampEnd.textContent = String(now.end);
    markTokens(now);
    drawLines(now);
    drawMatrix(now);
    readout.textContent = sentence(now) || HELP;
    if (hover.query === null || hover.key === null) tip.hidden = true;
  }

  function textColour() {
    const numbers = getComputedStyle(root).color.match(/[\d.]+/g) ?? [0, 0, 0];
    return numbers.slice(0, 3).map(Number);
  }

  function markTokens({ weights, end, query, key }) {
    const pinned = model.get("token");
    for (const [n, node] of queryNodes.entries()) {
      node.setAttribute("aria-selected", String(n === pinned));
      node.toggleAttribute("data-active", n === query);
    }
    if (pinned === null) queryList.removeAttribute("aria-activedescendant");
    else queryList.setAttribute("aria-activedescendant", queryNodes[pinned].id);
    for (const [n, node] of keyNodes.entries()) {
      const weight = query === null ? null : weights[query * keys + n];
      node.lastChild.textContent = weight === null ? "0.00" : weight.toFixed(2);
      node.lastChild.style.visibility = weight === null ? "hidden" : "visible";
      node.lastChild.toggleAttribute("data-small", weight < 0.05);
      node.toggleAttribute("data-active", n === key || (weight !== null && weight >= 0.5 * end));
    }
  }

  function drawLines({ weights, end, query, key }) {
    const width = 150;
    const context = prepare(lineCanvas, width, pitch * Math.max(queries, keys));
    const style = getComputedStyle(root);
    const plain = style.getPropertyValue("--course-line");
    const active = style.getPropertyValue("--course-active");
    const chosen = query !== null || key !== null;
    for (let q = 0; q < queries; q++) {
      for (let k = 0; k < keys; k++) {
        const strength = weights[q * keys + k] / end;
        if (strength < 0.01) continue;
        const ours = query !== null ? q === query : chosen && k === key;
        const alpha = ours ? Math.max(0.15, strength ** 0.5) : Math.max(0.06, strength ** 0.8);
        const pointed = q === query && k === key;
        const faded = chosen && !ours ? 0.12 : 1;
        context.globalAlpha = pointed ? Math.max(0.7, alpha) : faded * alpha;
        context.strokeStyle = ours ? active : plain;
        context.lineWidth = (pointed ? 1.5 : 0.6) + 3.4 * strength;
        const [from, to] = [(q + 0.5) * pitch, (k + 0.5) * pitch];
        context.beginPath();
        context.moveTo(0, from);
        context.bezierCurveTo(width * 0.4, from, width * 0.6, to, width, to);
        context.stroke();
      }
    }
  }

  /** Sizes of the matrix: cells as large as fit, letters beside them. */
  function matrixLayout(context) {
    const longest = Math.max(queries, keys);
    const size = Math.min(Math.max(380 / longest, 12), 40);
    context.font = fontOf(Math.min(12, size - 1));
    const widest = (tokens) =>
      Math.max(...tokens.map((token) => context.measureText(shorten(token)).width));
    const left = Math.min(widest(queryTokens), 110) + 8;
    const top = Math.min(widest(keyTokens), 110) + 8;
    const room = Math.max(root.clientWidth - 16 - left, 60);
    const beside = room - lines.offsetWidth - 32; // next to the lines, where that is wide enough
    const fitting = (beside >= 6 * keys ? beside : room) / keys;
    const cell = Math.max(3, Math.floor(Math.min(size, fitting))); // whole pixels leave no seams
    return { left, top, cell, letters: Math.min(12, Math.max(cell - 1, 9)) };
  }

  function fontOf(size, weight = "") {
    return `${weight} ${size}px ${getComputedStyle(root).fontFamily}`;
  }

  let layout = null; // kept for the pointer
  const cells = create("canvas"); // the bare matrix, drawn anew only when it changes
  let cellsKey = "";

  function drawCells(weights, end) {
    const { cell } = layout;
    const wanted = [model.get("layer"), model.get("head"), cell, window.devicePixelRatio].join();
    if (wanted === cellsKey) return;
    cellsKey = wanted;
    const context = prepare(cells, keys * cell, queries * cell);
    context.font = fontOf(Math.min(12, cell * 0.36));
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let q = 0; q < queries; q++) {
      for (let k = 0; k < keys; k++) {
        const weight = weights[q * keys + k];
        const colour = rampColour(weight / end);
        context.fillStyle = `rgb(${colour})`;
        context.fillRect(k * cell, q * cell, cell, cell);
        if (cell < 30) continue;
        context.fillStyle = luminance(colour) > 0.18 ? "#000" : "#fff";
        context.fillText(weight.toFixed(2), (k + 0.5) * cell, (q + 0.5) * cell);
      }
    }
  }

  function drawMatrix({ weights, end, query, key }) {
    layout = matrixLayout(matrixCanvas.getContext("2d"));
    const { left, top, cell, letters } = layout;
    drawCells(weights, end);
    const context = prepare(matrixCanvas, left + keys * cell + 2, top + queries * cell + 2);
    context.drawImage(cells, left, top, keys * cell, queries * cell);
    const style = getComputedStyle(root);
    const ink = style.color;
    const active = style.getPropertyValue("--course-active");
    const [normal, bold] = [fontOf(letters), fontOf(letters, "600")];
    // Names: all that fit; of the others only the ones in question.
    const every = Math.ceil((letters + 1) / cell);
    const near = (n, chosen) => every > 1 && chosen !== null && Math.abs(n - chosen) < every;
    const named = (n, chosen) => n === chosen || (n % every === 0 && !near(n, chosen));
    context.textBaseline = "middle";
    for (let q = 0; q < queries; q++) {
      if (!named(q, query)) continue;
      context.font = q === query ? bold : normal;
      context.fillStyle = q === query ? active : ink;
      context.textAlign = "right";
      context.fillText(shorten(queryTokens[q]), left - 5, top + (q + 0.5) * cell, left - 5);
    }
    for (let k = 0; k < keys; k++) {
      if (!named(k, key)) continue;
      context.save();
      context.font = k === key ? bold : normal;
      context.fillStyle = k === key ? active : ink;
      context.textAlign = "left";
      context.translate(left + (k + 0.5) * cell, top - 5);
      context.rotate(-Math.PI / 2);
      context.fillText(shorten(keyTokens[k]), 0, 0, top - 5);
      context.restore();
    }
    const frames = [];
    if (query !== null) frames.push([left - 1, top + query * cell - 1, keys * cell + 2, cell + 2]);
    if (key !== null) frames.push([left + key * cell - 1, top - 1, cell + 2, queries * cell + 2]);
    const thin = cell < 15 ? 0.5 : 1;
    for (const [width, colour] of [[4, "#fff"], [2, "#b34700"]]) {
      context.lineWidth = width * thin;
      context.strokeStyle = colour;
      for (const box of frames) context.strokeRect(...box);
    }
    const where = `${place()}: matrix of ${queries} queries by ${keys} keys.`;
    matrixCanvas.setAttribute("aria-label", `${where} ${sentence(selection())}`.trim());
  }

  // ---- words

  function place() {
    const layer = layers > 1 ? `${model.get("layer_names")[model.get("layer")]}, ` : "";
    return `${layer}head ${model.get("head") + 1}`;
  }

  function quote(token) {
    return `'${printable(token)}'`;
  }

  function sentence({ weights, query, key }) {
    if (query !== null && key !== null) {
      const number = weights[query * keys + key].toFixed(2);
      return `query ${quote(queryTokens[query])} → key ${quote(keyTokens[key])}: ${number}`;
    }
    if (query !== null) {
      const row = Array.from(weights.subarray(query * keys, (query + 1) * keys));
      const order = row.map((_, n) => n).sort((a, b) => row[b] - row[a]);
      const name = `query ${quote(queryTokens[query])}`;
      if (row[order[0]] === 0) return `${name} attends to nothing`;
      const most = `${quote(keyTokens[order[0]])} ${row[order[0]].toFixed(2)}`;
      const first = `${name} attends most to ${most}`;
      const second = order[1];
      if (second === undefined || row[second] < 0.005) return first;
      return `${first}, then to ${quote(keyTokens[second])} ${row[second].toFixed(2)}`;
    }
    if (key !== null) {
      let best = 0;
      for (let q = 1; q < queries; q++) {
        if (weights[q * keys + key] > weights[best * keys + key]) best = q;
      }
      const number = weights[best * keys + key].toFixed(2);
      const name = `key ${quote(keyTokens[key])}`;
      return `${name} is looked at most by ${quote(queryTokens[best])} ${number}`;
    }
    return "";
  }

  /** Said aloud by screen readers when the selection changes, not on every move of the mouse. */
  function announce() {
    const { weights } = selection();
    const said = sentence({ weights, query: model.get("token"), key: null });
    spoken.textContent = said ? `${place()}: ${said}` : place();
  }

  // ---- the pointer over the matrix

  function cellAt(event) {
    if (!layout) return null;
    const box = matrixCanvas.getBoundingClientRect();
    const key = Math.floor((event.clientX - box.left - layout.left) / layout.cell);
    const query = Math.floor((event.clientY - box.top - layout.top) / layout.cell);
    return query >= 0 && query < queries && key >= 0 && key < keys ? { query, key } : null;
  }

  matrixCanvas.addEventListener("pointermove", (event) => {
    const at = cellAt(event);
    point(at ?? { query: null, key: null });
    if (!at) return;
    const number = selection().weights[at.query * keys + at.key].toFixed(2);
    const [from, to] = [queryTokens[at.query], keyTokens[at.key]].map(printable);
    tip.textContent = `${from} → ${to}  ${number}`;
    const box = root.getBoundingClientRect();
    const right = event.clientX - box.left + 14;
    tip.hidden = false;
    tip.style.left = `${Math.max(0, Math.min(right, root.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${event.clientY - box.top + 16}px`;
  });
  matrixCanvas.addEventListener("pointerleave", () => point({ query: null, key: null }));
  matrixCanvas.addEventListener("click", (event) => {
    const at = cellAt(event);
    if (at) pin(at.query);
  });

  // ---- changes from Python, of the size and of the theme

  const changed = () => {
    announce();
    schedule();
  };
  const watched = ["change:layer", "change:head", "change:token"];
  for (const name of watched) model.on(name, changed);
  const sizes = new ResizeObserver(schedule);
  sizes.observe(root);
  const themes = new MutationObserver(() => setTimeout(schedule, 50));
  for (const node of [document.documentElement, document.body]) {
    themes.observe(node, { attributes: true });
  }
  schedule();

  return () => {
    for (const name of watched) model.off(name, changed);
    sizes.disconnect();
    themes.disconnect();
    cancelAnimationFrame(frame);
  };
}

export default { render };
