"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);

  // Every text of the dump goes through textContent; nothing is ever parsed as markup.
  function make(tag, className, ...children) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }
  const button = (className, onClick, ...children) => {
    const node = make("button", className, ...children);
    node.type = "button";
    node.addEventListener("click", onClick);
    return node;
  };

  // Bytes as text: what would not be seen, or would turn the line around, is written out.
  const unseen = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
  const hex = (byte) => "\\x" + byte.toString(16).padStart(2, "0");
  function show(bytes) {
    if (typeof bytes === "string") return bytes.replace(unseen, (c) => "\\u{" + c.charCodeAt(0).toString(16) + "}");
    return Array.from(atob(bytes.base64), (c) => (c >= " " && c <= "~" && c !== "\\" ? c : hex(c.charCodeAt(0)))).join("");
  }

  const whole = new Intl.NumberFormat("en-US");
  const count = (n) => whole.format(n);
  function bytes(n) {
    for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
      if (n < 999.95 || unit === "TB") return (unit === "B" ? n : n.toFixed(1)) + "\u00a0" + unit;
      n /= 1000;
    }
  }
  const few = (n) => (n < 10000 ? count(n) : n < 999500 ? (n / 1e3).toFixed(0) + "\u00a0k" : n < 999.5e6 ? (n / 1e6).toFixed(2) + "\u00a0M" : (n / 1e9).toFixed(2) + "\u00a0G");
  const part = (n, of) => (of ? n / of : 0);
  const percent = (x) => x > 0 && x < 0.0005 ? "<\u00a00.1\u00a0%" : (x * 100).toFixed(x > 0 && x < 0.0995 ? 1 : 0) + "\u00a0%";
  const day = (ms) => new Date(ms).toISOString().slice(0, 10);
  const minute = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ") + " UTC";
  const safeDate = (ms, format) => (Math.abs(ms) < 8.64e15 ? format(ms) : String(ms));
  const keysOf = (n) => count(n) + (n === 1 ? " key" : " keys");

  // Tables: columns are [head, kind, value of a row, text of the value].
  function table(id, columns, rows, { sorted, onRow } = {}) {
    const heads = make("tr");
    for (const [i, [head, kind]] of columns.entries()) {
      const th = make("th", kind === "key" ? "" : kind);
      th.scope = "col";
      if (sorted && head) {
        th.append(button("", () => sorted(i), head));
        if (sorted.by === i) th.setAttribute("aria-sort", sorted.down ? "descending" : "ascending"), th.append(sorted.down ? " ↓" : " ↑");
      } else th.append(head);
      heads.append(th);
    }
    const body = make("tbody");
    for (const row of rows) {
      const tr = make("tr");
      for (const [, kind, value, text] of columns) {
        const td = make("td", kind);
        const v = value(row);
        if (kind === "meter") {
          const bar = make("div", v > 0 ? "" : "none");
          bar.style.width = Math.min(100, v * 100).toFixed(2) + "%";
          td.append(bar);
        } else td.append(v instanceof Node ? v : v === null || v === undefined ? "" : text ? text(v) : String(v));
        tr.append(td);
      }
      if (onRow) onRow(tr, row);
      body.append(tr);
    }
    $(id).replaceChildren(make("thead", "", heads), body);
  }
  const reveal = (id) => { $(id + "-section").hidden = false; };
  const share = (row) => part(row.memory, data.memory);
  const sums = [
    ["Keys", "n", (r) => r.keys, count],
    ["Memory", "n", (r) => r.memory, bytes],
    ["Share", "n", share, percent],
    ["", "meter", share],
  ];

  function head() {
    const name = data.file.split("/").pop();
    document.title = "Memory of " + name;
    $("title").textContent = "Memory of " + show(name);
    const facts = [data.server, data.created && "saved " + safeDate(data.created, minute), data.size && bytes(data.size) + " file",
      data.model && "memory as in " + data.model];
    $("subtitle").textContent = facts.filter(Boolean).join("  ·  ");
    const notice = (kind, text) => $("notices").append(make("p", "notice " + kind, text));
    if (data.damage) {
      const { offset, key, reason } = data.damage;
      const where = (offset === null ? "" : " at byte " + count(offset)) + (key === null ? "" : ", key " + JSON.stringify(key));
      const what = data.complete ? "Some values are damaged" : "The file is damaged and could not be read to its end";
      notice("serious", `${what}: ${reason}${where}. ` + (data.complete ? "They are counted with their size in the file." : "This page shows what was read up to there."));
    }
    if (data.margin) notice("", `These figures are estimates from a sample of the keys: the memory is ${bytes(data.memory)} ± ${bytes(data.margin)} (95 %).`);
    if (!data.keys) notice("", data.complete ? "There are no keys in this dump." : "No key could be read.");
  }

  function facts() {
    const fact = (name, value, note) => $("facts").append(
      make("div", "fact", make("div", "name", name), make("div", "value", value), make("div", "note", note)));
    fact("Memory of keys", bytes(data.memory), data.keys ? bytes(Math.round(data.memory / data.keys)) + " a key" : "");
    fact("Keys", few(data.keys), data.keys ? percent(part(data.expiring, data.keys)) + " have an expiry" : "");
    if (data.keySpace) fact("Key space", bytes(data.keySpace), "tables of keys and expiries");
    if (data.usedMemory) {
      fact("Used, said the server", bytes(data.usedMemory), percent(data.explained) + " of it explained here");
    }
    const [largest] = data.top.memory;
    if (largest) fact("Largest key", bytes(largest.memory), show(largest.key).slice(0, 60));
  }

  function findings() {
    if (!data.findings.length) return;
    const ranks = { serious: "Serious", worthwhile: "Worth doing", notable: "Good to know" };
    for (const found of data.findings) {
      $("findings").append(make("li", "finding " + found.weight, make("div", "rank", ranks[found.weight]),
        make("h3", "", show(found.title)), make("p", "", show(found.detail)), make("p", "advice", found.advice)));
    }
    reveal("findings");
  }

  // The treemap.
  const types = ["string", "hash", "list", "set", "zset", "stream", "vectorset", "array", "module"];
  const typeClass = (type) => "t-" + (types.includes(type) ? type : type ? "module" : "mixed");
  const lasting = (node) => part(node.noExpiryMemory, node.memory);
  const steps = ["under 5 %", "5 to 35 %", "35 to 65 %", "65 to 95 %", "over 95 %"];
  const step = (x) => (x < 0.05 ? 0 : x < 0.35 ? 1 : x < 0.65 ? 2 : x < 0.95 ? 3 : 4);
  const root = { prefix: "", name: "all keys", memory: data.memory, keys: data.keys, children: data.prefixes };
  let path = [root];
  let byType = true;

  // Children, and what the node has beside them.
  function parts(node) {
    const children = node.children || [];
    const sum = (field) => children.reduce((n, child) => n + child[field], 0);
    const left = node.memory - sum("memory");
    const others = { others: true, memory: left, keys: node.keys - sum("keys"), type: null, noExpiryMemory: 0 };
    if (node.noExpiryMemory !== undefined) others.noExpiryMemory = Math.max(0, node.noExpiryMemory - sum("noExpiryMemory"));
    else others.noExpiryMemory = left;
    return children.length && left > 0 ? [...children, others] : children;
  }
  const nameOf = (node, above) => {
    if (node === root) return root.name;
    if (node.others) return "(other keys)";
    const full = show(node.prefix), start = above && above !== root ? show(above.prefix) : "";
    return full.startsWith(start) && full.length > start.length ? full.slice(start.length) : full || "(no name)";
  };

  // Squarified (Bruls, Huizing, van Wijk 2000): rows along the shorter side, as long as they make cells squarer.
  function squarify(nodes, x, y, w, h) {
    const cells = [];
    const all = nodes.filter((n) => n.memory > 0).sort((a, b) => b.memory - a.memory);
    let left = all.reduce((n, node) => n + node.memory, 0), i = 0;
    const worst = (row, sum, side, scale) => {
      const thick = (sum * scale) / side;
      return Math.max(...[row[0], row[row.length - 1]].map((n) => { const long = (n.memory * scale) / thick; return Math.max(long / thick, thick / long); }));
    };
    while (i < all.length && w > 0 && h > 0) {
      const side = Math.min(w, h), scale = (w * h) / left;
      const row = [all[i]];
      let sum = all[i++].memory;
      while (i < all.length && worst([...row.slice(0, 1), all[i]], sum + all[i].memory, side, scale) <= worst(row, sum, side, scale)) { row.push(all[i]); sum += all[i++].memory; }
      const thick = (sum * scale) / side;
      let at = 0;
      for (const node of row) {
        const long = (node.memory * scale) / thick;
        cells.push(w >= h ? [node, x, y + at, thick, long] : [node, x + at, y, long, thick]);
        at += long;
      }
      if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
      left -= sum;
    }
    return cells;
  }

  const colour = (node) => (byType ? typeClass(node.type) : "l-" + step(lasting(node)));
  const describe = (node) => [
    `${bytes(node.memory)}, ${percent(share(node))} of all; ${keysOf(node.keys)}, ${bytes(Math.round(node.memory / Math.max(1, node.keys)))} each`,
    node.others ? null : `${node.type || "several types"}; ${percent(lasting(node))} without expiry` + (node.lacking ? `; up to ${bytes(node.lacking)} more` : ""),
  ].filter(Boolean);
  const fullName = (node) => (node.others ? "(other keys)" : show(node.prefix) || "(no name)");

  function cell(node, above, [x, y, w, h], size, className, depth) {
    const deep = node.children && node.children.length > 0;
    const box = button(`cell ${className} ${colour(node)}` + (deep ? " deep" : "") + (node.rest || node.others ? " rest" : ""), (event) => {
      event.stopPropagation();
      if (deep) enter(depth === 0 ? [...path, node] : [...path, above, node]);
      else if (depth === 1) enter([...path, above]);
    });
    for (const [side, value, full] of [["left", x, size[0]], ["top", y, size[1]], ["width", w, size[0]], ["height", h, size[1]]])
      box.style[side] = ((value / full) * 100).toFixed(4) + "%";
    box.setAttribute("aria-label", fullName(node) + ": " + describe(node).join("; "));
    box.tip = node;
    return box;
  }

  function draw() {
    const node = path[path.length - 1];
    const map = $("map"), size = [map.clientWidth || 1000, map.clientHeight || 460];
    const boxes = [];
    for (const [child, x, y, w, h] of squarify(parts(node), 0, 0, ...size)) {
      if (w < 1.5 || h < 1.5) continue;
      const nests = child.children && child.children.length && w > 90 && h > 64;
      const box = cell(child, node, [x, y, w, h], size, nests ? "outer" : "", 0);
      if (w > 34 && h > 18) {
        const text = make("span", "text" + (!nests && h > 50 ? " wrap" : ""), nameOf(child, node));
        if (nests) text.append("  " + bytes(child.memory));
        else if (h > 36 && w > 56) text.append(make("span", "sub", `${bytes(child.memory)} · ${percent(share(child))}`));
        box.append(text);
      }
      boxes.push(box);
      if (!nests) continue;
      const top = 21;
      for (const [inner, ix, iy, iw, ih] of squarify(parts(child), x + 3, y + top, w - 6, h - top - 3)) {
        if (iw < 2.5 || ih < 2.5) continue;
        const small = cell(inner, child, [ix, iy, iw, ih], size, "inner", 1);
        if (iw > 40 && ih > 18) {
          const text = make("span", "text" + (ih > 50 ? " wrap" : ""), nameOf(inner, child));
          if (ih > 36 && iw > 56) text.append(make("span", "sub", bytes(inner.memory)));
          small.append(text);
        }
        boxes.push(small);
      }
    }
    map.replaceChildren(...boxes);
    trail();
    legend();
    inside(node);
  }

  function trail() {
    const crumbs = path.map((node, i) => {
      const name = nameOf(node, path[i - 1]);
      return i === path.length - 1 ? make("span", "here", name) : button("", () => enter(path.slice(0, i + 1)), name);
    });
    const here = path[path.length - 1];
    const joined = crumbs.flatMap((crumb, i) => (i ? [make("span", "muted", "›"), crumb] : [crumb]));
    $("trail").replaceChildren(...joined, make("span", "sum", `${bytes(here.memory)} in ${keysOf(here.keys)}`));
  }

  function legend() {
    const used = new Set();
    (function visit(nodes) { for (const node of nodes) { used.add(typeClass(node.type)); visit(node.children || []); } })(data.prefixes);
    const entry = (className, name) => make("span", "", make("i", className), name);
    const entries = byType
      ? [...types.filter((t) => used.has("t-" + t)).map((t) => entry("t-" + t, t)), used.has("t-mixed") ? entry("t-mixed", "several types") : null]
      : [make("span", "", "memory without expiry:"), ...steps.map((name, i) => entry("l-" + i, name))];
    $("legend").replaceChildren(...entries.filter(Boolean));
  }

  function inside(node) {
    const all = parts(node);
    const lacking = all.some((child) => child.lacking);
    const columns = [
      ["Prefix", "key", (r) => {
        const name = document.createDocumentFragment();
        const dot = make("span", "dot " + colour(r));
        name.append(dot, " ");
        name.append(r.children && r.children.length ? button("link", () => enter([...path, r]), fullName(r)) : fullName(r));
        return name;
      }],
      ["Keys", "n", (r) => r.keys, count],
      ["Memory", "n", (r) => r.memory, bytes],
      ["Share", "n", share, percent],
      ["Each", "n", (r) => Math.round(r.memory / Math.max(1, r.keys)), bytes],
      ["No expiry", "n", (r) => (r.others ? null : lasting(r)), percent],
      ["Type", "", (r) => (r.others ? "" : r.type || "several")],
      ["", "meter", (r) => part(r.memory, node.memory)],
    ];
    if (lacking) columns.splice(7, 0, ["Up to", "n", (r) => r.lacking ? r.lacking : null, (n) => "+" + bytes(n)]);
    table("inside", columns, all.slice(0, 12));
  }

  function enter(next) {
    path = next;
    hideTip();
    draw();
    const first = $("map").querySelector(".cell");
    if (first && document.activeElement === document.body) first.focus({ preventScroll: true });
  }

  const tip = $("tip");
  const hideTip = () => { tip.hidden = true; };
  function showTip(box, x, y) {
    const node = box.tip;
    tip.replaceChildren(make("b", "", fullName(node)), ...describe(node).map((line) => make("div", "", line)));
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - width - 6)) + "px";
    tip.style.top = (y + 18 + height > innerHeight ? Math.max(4, y - height - 10) : y + 18) + "px";
  }

  function prefixes() {
    if (!data.prefixes.length) return;
    reveal("prefixes");
    const map = $("map");
    map.addEventListener("mousemove", (event) => {
      const box = event.target.closest(".cell");
      if (box) showTip(box, event.clientX, event.clientY); else hideTip();
    });
    map.addEventListener("mouseleave", hideTip);
    map.addEventListener("focusin", (event) => {
      if (!event.target.matches(":focus-visible")) return;
      const { left, bottom } = event.target.getBoundingClientRect();
      showTip(event.target, left, Math.min(bottom, innerHeight) - 20);
    });
    map.addEventListener("focusout", hideTip);
    document.addEventListener("keydown", (event) => {
      if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
      if ((event.key === "Escape" || event.key === "Backspace") && path.length > 1) { event.preventDefault(); enter(path.slice(0, -1)); }
    });
    const choose = (type) => () => {
      byType = type;
      $("by-type").setAttribute("aria-pressed", String(type));
      $("by-ttl").setAttribute("aria-pressed", String(!type));
      draw();
    };
    $("by-type").addEventListener("click", choose(true));
    $("by-ttl").addEventListener("click", choose(false));
    let width = 0;
    new ResizeObserver(() => { if (map.clientWidth !== width) { width = map.clientWidth; draw(); } }).observe(map);
    draw();
  }

  // The largest keys by any measure, each once.
  function largest() {
    const seen = new Map();
    for (const list of Object.values(data.top)) for (const row of list) seen.set(row.db + " " + JSON.stringify(row.key), row);
    const rows = [...seen.values()].map((row) => ({ ...row, name: show(row.key) || "(empty name)" }));
    if (!rows.length) return;
    reveal("keys");
    const several = data.databases.length > 1;
    const columns = [
      several ? ["DB", "n", (r) => r.db] : null,
      ["Key", "key", (r) => r.name],
      ["Type", "", (r) => r.type],
      ["Encoding", "", (r) => r.encoding],
      ["Memory", "n", (r) => r.memory, bytes],
      ["Share", "n", share, percent],
      ["In file", "n", (r) => r.bytes, bytes],
      ["Elements", "n", (r) => (r.type === "string" ? null : r.elements ?? null), count],
      ["Largest", "n", (r) => r.largestElement ?? null, bytes],
      ["Expiry", "", (r) => r.expireAt ?? null, (ms) => safeDate(ms, day)],
    ].filter(Boolean);
    const memory = columns.findIndex(([name]) => name === "Memory");
    let all = false;
    const sorted = (by) => {
      sorted.down = sorted.by === by ? !sorted.down : columns[by][1] === "n";
      sorted.by = by;
      fill();
    };
    Object.assign(sorted, { by: memory, down: true });
    function fill() {
      const wanted = $("filter").value.trim().toLowerCase();
      const kept = rows.filter((r) => !wanted || r.name.toLowerCase().includes(wanted) || r.type.toLowerCase().includes(wanted) || r.encoding.includes(wanted));
      const value = columns[sorted.by][2], sign = sorted.down ? -1 : 1;
      kept.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (x < y ? -1 : x > y ? 1 : 0) || (a.name < b.name ? -1 : 1);
      });
      const shown = all ? kept : kept.slice(0, 20);
      table("keys", columns, shown, { sorted });
      $("keys-count").textContent = `${count(shown.length)} of ${count(kept.length)}${wanted ? " that match" : ""}, the largest of ${keysOf(data.keys)} by memory, size in the file, elements or largest element.`;
      $("keys-more").hidden = all || shown.length === kept.length;
    }
    $("filter").addEventListener("input", fill);
    $("keys-more").addEventListener("click", () => { all = true; fill(); });
    fill();
  }

  function classes(id) {
    const rows = data[id];
    if (!rows.length) return;
    const used = rows.map((row) => row.keys > 0);
    const most = Math.max(...rows.map(share));
    const from = id === "sizes" ? used.indexOf(true) : 0, to = id === "sizes" ? used.lastIndexOf(true) : rows.length - 1;
    table(id, [["", "", (r) => r.class], ...sums.slice(0, 3), ["", "meter", (r) => part(share(r), most)]], rows.slice(from, to + 1));
    reveal(id);
  }

  function tables() {
    if (data.types.length) {
      table("types", [["Type", "", (r) => make("span", "", make("span", "dot " + typeClass(r.type)), " " + r.type)], ["Encoding", "", (r) => r.encoding], ...sums], data.types);
      reveal("types");
    }
    $("ttl-note").textContent = data.created ? "What was left when the dump was made." : "What is left now.";
    ["ttl", "sizes", "idle", "freq"].forEach(classes);
    if (data.databases.length > 1) {
      table("databases", [["DB", "", (r) => r.db ?? "others"], ...sums], data.databases);
      reveal("databases");
    }
    slots();
  }

  function slots() {
    const { used, skew, shards, heaviest, bins } = data.slots;
    if (used < 2) return;
    $("slots-note").textContent = `${count(used)} of 16,384 slots have keys. Dealt to ${shards.length} shards, the heaviest would have ${skew.toFixed(2)} times its share.`;
    const most = Math.max(...bins);
    $("strip").setAttribute("aria-label", "Memory along the slots");
    $("strip").replaceChildren(...bins.map((memory) => {
      const bar = make("div");
      bar.style.height = (part(memory, most) * 100).toFixed(2) + "%";
      return bar;
    }));
    const name = (r) => (r.from === r.to ? "slot " + r.from : `shard ${r.from} – ${r.to}`);
    table("slots", [["", "", name], ...sums], [...shards, ...heaviest.slice(0, 5)]);
    reveal("slots");
  }

  head();
  facts();
  findings();
  prefixes();
  largest();
  tables();
  document.documentElement.dataset.ready = "yes";
})();
