// Shows times in the reader's zone and brings new messages in. The page works without it, by reload.
"use strict";
(() => {
  const pad = (n) => String(n).padStart(2, "0");

  const localTimes = (root) => {
    const today = new Date().toDateString();
    for (const el of root.querySelectorAll("time")) {
      const at = new Date(el.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
      const day = at.toDateString() === today ? "" : `${pad(at.getMonth() + 1)}-${pad(at.getDate())} `;
      el.textContent = day + clock;
    }
  };

  // Makes `old` hold the same children as `next`, by id; those that stay keep their open folds.
  const sync = (old, next) => {
    const wanted = new Set([...next.children].map((el) => el.id));
    for (const el of [...old.children]) if (!wanted.has(el.id)) el.remove();
    let before = null;
    for (const el of [...next.children]) {
      const known = el.id && [...old.children].find((mine) => mine.id === el.id);
      if (known) {
        before = known;
        continue;
      }
      const fresh = document.importNode(el, true);
      if (before) before.after(fresh);
      else old.prepend(fresh);
      before = fresh;
    }
  };

  const replace = (chat, fresh, selector) => {
    const mine = chat.querySelector(selector);
    const theirs = fresh.querySelector(selector);
    if (mine && theirs) mine.replaceWith(document.importNode(theirs, true));
  };

  const merge = (doc) => {
    const main = document.querySelector("main");
    const next = doc.querySelector("main");
    if (!main?.querySelector(".chat") || !next?.querySelector(".chat")) {
      document.body.replaceChildren(...[...doc.body.childNodes].map((node) => document.importNode(node, true)));
      return;
    }
    sync(main, next);
    replace(document, doc, ".tabs");
    for (const chat of main.querySelectorAll(".chat")) {
      const fresh = doc.getElementById(chat.id);
      replace(chat, fresh, ".chat-head");
      sync(chat.querySelector(".log-inner"), fresh.querySelector(".log-inner"));
      const list = chat.querySelector(".refused ol");
      const freshList = fresh.querySelector(".refused ol");
      if (list && freshList) {
        replace(chat, fresh, ".refused > summary");
        sync(list, freshList);
      } else {
        replace(chat, fresh, ".foot");
      }
    }
  };

  let shown = document.body.dataset.version;
  let wait = 1000;
  const look = async () => {
    try {
      const answer = await fetch("/api/sandbox/version", { cache: "no-store" });
      const version = String((await answer.json()).data.version);
      if (version !== shown) {
        const page = await fetch(location.pathname, { cache: "no-store" });
        merge(new DOMParser().parseFromString(await page.text(), "text/html"));
        localTimes(document);
        shown = version;
      }
      wait = 1000;
      document.body.classList.remove("offline");
    } catch {
      wait = Math.min(wait * 2, 15000);
      document.body.classList.add("offline");
    }
    setTimeout(look, document.hidden ? 5000 : wait);
  };

  localTimes(document);
  // A picture is taken of one moment.
  if (document.documentElement.classList.contains("bare")) return;
  setTimeout(look, wait);
})();
