// The template playground: sends what is typed, shows what a robot would be sent. Nothing is kept but in this browser.
"use strict";
(() => {
  const API = "/api/sandbox/playground";
  const STORE = "alarmbell-playground";
  const MINE = "";
  const PARTS = ["title", "alert", "body", "digest", "payload"];
  const LINE = 20; // px; the style sheet's line height of code
  const PAD = 10; // px above the first line

  const el = (id) => document.getElementById(id);
  const make = (name, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  };
  const number = (n) => n.toLocaleString("en");
  // Words between backticks are code.
  const sentence = (text) => text.split("`").map((words, at) => (at % 2 ? make("code", { textContent: words }) : words));
  const plural = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;

  let offer = null;
  const choice = { sample: null, vendor: "dingtalk", kind: {}, lang: "zh", mention: false, scheme: null };
  // Per vendor, the parts that differ from what is built in.
  let edits = {};
  let payload = "";
  let part = "title";
  let places = {}; // per part, the mistakes in it

  // --- what is remembered ---------------------------------------------------------------------------------------------

  const recall = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(STORE) ?? "{}");
      Object.assign(choice, kept.choice);
      edits = kept.edits ?? {};
      payload = kept.payload ?? "";
    } catch {
      // Nothing kept, or not ours to read.
    }
  };
  const remember = () => {
    try {
      localStorage.setItem(STORE, JSON.stringify({ choice, edits, payload }));
    } catch {
      // Full or forbidden: the page works without.
    }
  };

  const vendor = () => offer.vendors.find((one) => one.vendor === choice.vendor) ?? offer.vendors[0];
  const kind = () => {
    const kinds = vendor().kinds;
    return kinds.includes(choice.kind[choice.vendor]) ? choice.kind[choice.vendor] : kinds[0];
  };
  const builtIn = (name) => (name === "payload" ? "" : vendor().sources[name] ?? "");
  const source = (name) => (name === "payload" ? payload : edits[choice.vendor]?.[name] ?? builtIn(name));
  const changed = (name) => source(name) !== builtIn(name);

  // --- the editors ----------------------------------------------------------------------------------------------------

  const panel = (name) => el(`panel-${name}`);
  const area = (name) => panel(name).querySelector("textarea");

  // Which lines of `now` are not in `before`, and behind which lines something is gone.
  const difference = (before, now) => {
    const a = before.split("\n");
    const b = now.split("\n");
    let start = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
    let end = 0;
    while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
    const left = a.slice(start, a.length - end);
    const right = b.slice(start, b.length - end);
    const fresh = [];
    const gone = [];
    if (left.length * right.length > 250000) {
      right.forEach((_, at) => fresh.push(start + at));
      return { fresh, gone };
    }
    const common = Array.from({ length: left.length + 1 }, () => new Uint16Array(right.length + 1));
    for (let i = left.length - 1; i >= 0; i -= 1) {
      for (let j = right.length - 1; j >= 0; j -= 1) {
        common[i][j] = left[i] === right[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
      }
    }
    for (let i = 0, j = 0; i < left.length || j < right.length; ) {
      if (i < left.length && j < right.length && left[i] === right[j]) {
        i += 1;
        j += 1;
      } else if (j < right.length && (i === left.length || common[i][j + 1] >= common[i + 1][j])) {
        fresh.push(start + j);
        j += 1;
      } else {
        gone.push(start + j);
        i += 1;
      }
    }
    return { fresh, gone: gone.filter((at) => !fresh.includes(at) && !fresh.includes(at - 1)) };
  };

  const TOKEN = /(\{\{\{?!(?:--[\s\S]*?--|[^}]*)\}?\}\})|(\{\{\{?[#/^~]?[\s\S]*?\}?\}\})|(<[^<>\n]{1,200}>)/g;
  // The same text in colours, under the text that is typed.
  const paint = (name) => {
    const text = area(name).value;
    const under = panel(name).querySelector(".paint");
    if (name === "payload" || text.length > 40000) {
      under.textContent = text;
      return;
    }
    const pieces = [];
    let from = 0;
    for (const found of text.matchAll(TOKEN)) {
      if (found.index > from) pieces.push(text.slice(from, found.index));
      const [whole, comment, mustache] = found;
      const block = /^\{\{\{?~?([#/^]|else\b)/.test(whole);
      const className = comment ? "t-note" : mustache ? (block ? "t-block" : "t-value") : "t-tag";
      pieces.push(make("span", { className, textContent: whole }));
      from = found.index + whole.length;
    }
    pieces.push(text.slice(from), "\n");
    under.replaceChildren(...pieces);
  };

  const band = (className, line) => {
    const node = make("div", { className });
    node.style.top = `${PAD + line * LINE}px`;
    return node;
  };

  const follow = (name) => {
    const { scrollTop, scrollLeft } = area(name);
    panel(name).querySelector(".gutter > pre").style.transform = `translateY(${-scrollTop}px)`;
    panel(name).querySelector(".marks").style.transform = `translateY(${-scrollTop}px)`;
    panel(name).querySelector(".bands").style.transform = `translateY(${-scrollTop}px)`;
    panel(name).querySelector(".paint").style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
  };

  const dress = (name) => {
    const text = area(name).value;
    const lines = text.split("\n").length;
    const numbers = panel(name).querySelector(".gutter > pre");
    if (Number(numbers.dataset.lines) !== lines) {
      numbers.textContent = Array.from({ length: lines }, (_, at) => at + 1).join("\n");
      numbers.dataset.lines = lines;
    }
    const { fresh, gone } = name === "payload" ? { fresh: [], gone: [] } : difference(builtIn(name), text);
    const wrong = (places[name] ?? []).filter((blot) => blot.line > 0);
    panel(name)
      .querySelector(".marks")
      .replaceChildren(
        ...fresh.map((line) => band("mark-new", line)),
        ...gone.map((line) => band("mark-gone", line)),
        ...wrong.map((blot) => band("mark-bad", blot.line - 1)),
      );
    panel(name).querySelector(".bands").replaceChildren(...wrong.map((blot) => band("mark-bad", blot.line - 1)));
    paint(name);
    follow(name);
    const differs = changed(name);
    panel(name).querySelector("[data-do=reset]").disabled = !differs;
    const note = panel(name).querySelector(".pg-changed");
    const count = fresh.length || gone.length;
    const emptied = name !== "payload" && text.trim() === "";
    note.textContent = emptied ? "empty: the built-in one is used" : differs && count ? `${plural(count, "line")} changed` : "";
  };

  const flags = () => {
    for (const name of PARTS) {
      const tab = el(`tab-${name}`);
      const bad = places[name]?.length ?? 0;
      const flag = tab.querySelector(".flag");
      flag.className = bad ? "flag bad" : changed(name) ? "flag new" : "flag";
      flag.textContent = bad ? String(bad) : "";
      tab.setAttribute("aria-label", name + (bad ? `, ${plural(bad, "mistake")}` : changed(name) ? ", changed" : ""));
      area(name).setAttribute("aria-invalid", String(bad > 0));
    }
  };

  const show = (name, focus) => {
    part = name;
    for (const one of PARTS) {
      const mine = one === name;
      el(`tab-${one}`).setAttribute("aria-selected", String(mine));
      el(`tab-${one}`).tabIndex = mine ? 0 : -1;
      panel(one).hidden = !mine;
    }
    dress(name);
    if (focus) el(`tab-${name}`).focus();
  };

  const load = () => {
    for (const name of PARTS) {
      area(name).value = source(name);
      area(name).scrollTop = 0;
    }
    dress(part);
    flags();
  };

  const typed = (name) => {
    const text = area(name).value;
    if (name === "payload") {
      payload = text;
      if (text.trim() !== "" && choice.sample !== MINE) {
        choice.sample = MINE;
        el("sample").value = MINE;
      }
    } else {
      edits[choice.vendor] ??= {};
      if (text === builtIn(name)) delete edits[choice.vendor][name];
      else edits[choice.vendor][name] = text;
    }
    places[name] = [];
    dress(name);
    flags();
    remember();
    soon();
  };

  // Puts the cursor where a mistake is.
  const jump = (name, line, column) => {
    show(name);
    const text = area(name);
    const lines = text.value.split("\n");
    const at = Math.min(Math.max(line, 1), lines.length) - 1;
    const before = lines.slice(0, at).reduce((sum, one) => sum + one.length + 1, 0);
    // Columns count characters, the editor UTF-16 units.
    const inside = [...lines[at]].slice(0, Math.max(column, 1) - 1).join("").length;
    text.focus();
    text.setSelectionRange(before + inside, before + inside);
    text.scrollTop = Math.max(0, (at - 3) * LINE);
    follow(name);
  };

  const save = (name) => {
    const file = name === "payload" ? "payload.json" : `${choice.vendor}.mine.${name}.hbs`;
    const address = URL.createObjectURL(new Blob([area(name).value], { type: "text/plain" }));
    make("a", { href: address, download: file }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };

  // --- what came of it ------------------------------------------------------------------------------------------------

  const FAILED = /^(\w+)(?:, line (\d+))?(?:, column (\d+))?: /;

  const mistakes = (drawing) => {
    places = {};
    const all = drawing.mistakes.map((blot) => ({ ...blot, kind: "" }));
    for (const message of drawing.messages) {
      if (!message.failure) continue;
      const [whole, name, line, column] = FAILED.exec(message.failure) ?? [""];
      const what = message.failure.slice(whole.length);
      all.push({ part: name ?? "", line: Number(line ?? 0), column: Number(column ?? 0), what, hint: "The plain text is sent instead." });
    }
    for (const blot of all) (places[blot.part] ??= []).push(blot);
    el("mistakes").replaceChildren(
      ...all.map((blot) => {
        const here = PARTS.includes(blot.part);
        const place = [blot.part, blot.line && `line ${blot.line}`, blot.line && blot.column && `column ${blot.column}`];
        const name = place.filter(Boolean).join(", ") || "somewhere";
        const button = make("button", { type: "button", className: "place", textContent: name, disabled: !here });
        button.addEventListener("click", () => jump(blot.part, blot.line, blot.column));
        const line = here && blot.line ? area(blot.part).value.split("\n")[blot.line - 1] : undefined;
        const item = make("li", {}, button, make("span", { className: "what-wrong" }, ...sentence(blot.what)));
        if (line?.trim()) item.append(make("code", { className: "line-wrong", textContent: line.trim().slice(0, 160) }));
        if (blot.hint) item.append(make("span", { className: "hint" }, ...sentence(blot.hint)));
        return item;
      }),
    );
    flags();
    dress(part);
  };

  const fact = (name, value, className = "") => [
    make("dt", { textContent: name }),
    make("dd", { className }, ...(Array.isArray(value) ? value : [value])),
  ];

  const bar = (size, limit) => {
    const share = limit > 0 ? size / limit : 0;
    const fill = make("div", { className: share > 1 ? "over" : share > 0.9 ? "near" : "" });
    fill.style.width = `${Math.min(100, share * 100)}%`;
    const percent = limit > 0 ? ` · ${share * 100 < 10 ? (share * 100).toFixed(1) : Math.round(share * 100)} %` : "";
    const words = limit > 0 ? `${number(size)} of ${number(limit)} bytes${percent}` : `${number(size)} bytes; no limit is known`;
    const meter = make("div", { className: "meter", role: "meter" }, fill);
    for (const [key, value] of Object.entries({ valuemin: 0, valuemax: limit || size, valuenow: size, valuetext: words })) {
      meter.setAttribute(`aria-${key}`, value);
    }
    meter.setAttribute("aria-label", "Size");
    return [meter, make("span", { className: "meter-words", textContent: words })];
  };

  const pretty = (text) => {
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      return text;
    }
  };

  const report = (message, at, all, open) => {
    const { verdict } = message;
    const head = make("h3", {}, make("span", { className: "type", textContent: verdict.msgtype || "?" }));
    if (all > 1) head.prepend(`Message ${at + 1} of ${all} `);
    const said = verdict.accepted
      ? make("p", { className: "verdict yes", textContent: "The strict robot takes it" })
      : make("p", { className: "verdict no" }, "A robot would refuse it: ", ...sentence(verdict.reason), make("span", { className: "code-of", textContent: `${verdict.code} ${verdict.errmsg}` }));
    const calls = [...(verdict.mentions.all ? ["everyone"] : []), ...verdict.mentions.names];
    const facts = make("dl", {},
      ...fact("Size", bar(message.size, message.limit)),
      ...fact("Alerts", `${number(message.named)} named, ${number(message.counted)} counted`),
      ...fact("Cut", message.cut || "nothing", message.cut ? "some" : ""),
      ...fact("Calls", calls.join(", ") || "nobody"),
      ...fact("Push", verdict.title || "—"),
    );
    if (message.failure) facts.append(...fact("Failed", message.failure, "bad"));
    if (verdict.warnings.length) {
      facts.append(...fact("Ignored", verdict.warnings.map((one) => make("p", {}, ...sentence(one))), "some"));
    }
    const json = make("pre", { textContent: pretty(message.body) });
    const copy = make("button", { type: "button", className: "quiet-button copy", textContent: "Copy" });
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(message.body);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(json);
        copy.textContent = "Selected";
      }
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
    const details = make("details", { className: "json", open }, make("summary", { textContent: "Request body" }), copy, json);
    return make("article", { className: "facts-of" }, head, said, facts, details);
  };

  const draw = (drawing) => {
    mistakes(drawing);
    const phone = el("phone");
    const stale = drawing.mistakes.length > 0;
    phone.classList.toggle("stale", stale);
    el("facts").classList.toggle("stale", stale);
    if (stale) return;
    const messages = drawing.messages.map((message) => {
      const item = make("article", { className: "msg" });
      // The sandbox's own markup: every text in it is escaped there, and the page's policy runs no script of it.
      if (message.html) item.innerHTML = message.html;
      else item.append(make("p", { className: "refused-here", textContent: "No chat would show it." }));
      return item;
    });
    for (const time of messages.flatMap((item) => [...item.querySelectorAll("time")])) time.textContent = "now";
    if (!messages.length) messages.push(make("p", { className: "nothing", textContent: "Nothing would be sent." }));
    const log = make("div", { className: "log-inner" }, ...messages);
    const head = make("header", { className: "chat-head" }, make("b", { textContent: choice.lang === "zh" ? "告警群" : "On-call" }));
    const chat = make("div", { className: `chat v-${choice.vendor}` }, head, log);
    const top = phone.scrollTop;
    const open = [...el("facts").querySelectorAll("details")].map((one) => one.open);
    phone.replaceChildren(chat);
    phone.scrollTop = top;
    el("facts").replaceChildren(...drawing.messages.map((message, at, all) => report(message, at, all.length, open[at] ?? false)));
  };

  // --- asking ---------------------------------------------------------------------------------------------------------

  const state = (text, className = "") => {
    el("state").textContent = text;
    el("state").className = `pg-state ${className}`;
  };

  const wish = () => {
    const asked = { vendor: choice.vendor, kind: kind(), lang: choice.lang, mention: choice.mention, parts: { ...edits[choice.vendor] } };
    if (choice.sample === MINE) asked.payload = payload;
    else asked.sample = choice.sample;
    return asked;
  };

  let running = null;
  let timer = 0;
  const ask = async () => {
    clearTimeout(timer);
    running?.abort();
    const mine = (running = new AbortController());
    const since = performance.now();
    const late = setTimeout(() => state("drawing …"), 300);
    try {
      const answer = await fetch(API, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(wish()),
        signal: mine.signal,
      });
      const said = await answer.json();
      if (mine.signal.aborted) return;
      if (said.status !== "success") throw new Error(said.error);
      draw(said.data);
      state(said.data.mistakes.length ? plural(said.data.mistakes.length, "mistake") : `drawn in ${Math.round(performance.now() - since)} ms`,
        said.data.mistakes.length ? "bad" : "");
    } catch (error) {
      if (mine.signal.aborted) return;
      state(error instanceof TypeError ? "the sandbox does not answer" : error.message, "bad");
    } finally {
      clearTimeout(late);
    }
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 120);
  };

  // --- choosing -------------------------------------------------------------------------------------------------------

  const kinds = () => {
    el("kind").replaceChildren(...vendor().kinds.map((one) => make("option", { value: one, textContent: one })));
    el("kind").value = kind();
  };

  const scheme = () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const now = choice.scheme ?? system;
    el("phone").dataset.scheme = now;
    el("scheme").textContent = now === "dark" ? "By day" : "By night";
    el("scheme").setAttribute("aria-pressed", String(now === "dark"));
    return now;
  };

  const chosen = (event) => {
    const { name, value, checked } = event.target;
    if (name === "kind") choice.kind[choice.vendor] = value;
    else if (name === "mention") choice.mention = checked;
    else choice[name] = value;
    if (name === "vendor") {
      places = {};
      kinds();
      load();
    }
    if (name === "sample" && value === MINE) show("payload");
    else if (name === "sample" && part === "payload") show("body");
    remember();
    ask();
  };

  const begin = () => {
    const samples = offer.samples.map((one) => make("option", { value: one.name, textContent: [one.name, one.title.replaceAll("`", "")].filter(Boolean).join(" — ") }));
    el("sample").replaceChildren(...samples, make("option", { value: MINE, textContent: "My payload" }));
    const known = offer.samples.some((one) => one.name === choice.sample) || (choice.sample === MINE && payload);
    if (!known) choice.sample = offer.samples[0]?.name ?? MINE;
    choice.vendor = vendor().vendor;
    el("sample").value = choice.sample;
    const form = el("choose");
    form.elements.vendor.value = choice.vendor;
    form.elements.lang.value = choice.lang;
    el("mention").checked = choice.mention;
    kinds();
    scheme();
    load();
    show("body");
    form.addEventListener("change", chosen);
    form.addEventListener("submit", (event) => event.preventDefault());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", scheme);
    el("scheme").addEventListener("click", () => {
      choice.scheme = scheme() === "dark" ? "light" : "dark";
      scheme();
      remember();
    });
    for (const name of PARTS) {
      area(name).addEventListener("input", () => typed(name));
      area(name).addEventListener("scroll", () => follow(name), { passive: true });
      el(`tab-${name}`).addEventListener("click", () => show(name));
      panel(name).querySelector("[data-do=save]").addEventListener("click", () => save(name));
      panel(name).querySelector("[data-do=reset]").addEventListener("click", () => {
        const text = area(name);
        text.focus();
        text.select();
        // The only way that the browser can undo; where there is none, the text is set.
        const done = builtIn(name) ? document.execCommand("insertText", false, builtIn(name)) : document.execCommand("delete");
        if (!done || text.value !== builtIn(name)) text.value = builtIn(name);
        typed(name);
        text.setSelectionRange(0, 0);
      });
    }
    document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const ends = { Home: 0, End: PARTS.length - 1 }[event.key];
      if (step === undefined && ends === undefined) return;
      event.preventDefault();
      show(PARTS[ends ?? (PARTS.indexOf(part) + step + PARTS.length) % PARTS.length], true);
    });
    ask();
  };

  recall();
  fetch(API, { cache: "no-store" })
    .then(async (answer) => {
      const said = await answer.json();
      if (said.status !== "success") throw new Error(said.error);
      offer = said.data;
      begin();
    })
    .catch((error) => state(error instanceof TypeError ? "the sandbox does not answer" : error.message, "bad"));
})();
