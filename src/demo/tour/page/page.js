// The page: receives the demo's state, draws changes, and sends the visitor's actions.

import { drawMessage } from "./cards.js";
import { drawShow } from "./show.js";
import { drawStages } from "./strip.js";
import { clock, current, h, switchLanguage, t } from "./words.js";

const $ = (id) => document.getElementById(id);
const KINDS = ["white_screen", "crash", "slow_load", "stutter", "cannot_open", "freeze", "other", "suggestion"];
const CONDITIONS = ["works", "fails", "limits", "hangs"];
const PICTURE_BYTES_MAX = 6 * 1024 * 1024;

/**
 * The current state. `chosen` is the event that the visitor selected; if null, the newest event is shown. `config` is
 * the original relay.toml.
 */
const page = { state: null, chosen: null, tab: "oncall", drawn: new Map(), config: null };

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error ?? answer.statusText);
  return said;
}

function toast(text) {
  $("toast").textContent = text;
  $("toast").classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => $("toast").classList.remove("shown"), 3500);
}

const told = (work) => work.catch((error) => toast(t("failed") + error.message));

// ---- chats ----

function panel(chat) {
  const name = chat[current()] ?? chat.en;
  const list = h("ol", { class: "messages", tabIndex: 0, "aria-label": name });
  const condition = h("select", { "aria-label": t("condition", name), onchange: (event) =>
    told(post("api/condition", { chat: chat.key, condition: event.target.value })) },
    CONDITIONS.map((one) => h("option", { value: one }, t(one))));
  const mark = { "slack-app": "#", webhook: "{ }" }[chat.kind] ?? "群";
  return h("article", { class: `panel ${chat.kind}`, "data-chat": chat.key },
    h("header", {}, h("span", { class: "mark" }, mark), h("h3", {}, name, h("small", {}, chat.kind)), condition),
    h("p", { class: "outage" }), list);
}

function drawChat(chat) {
  let article = $("panels").querySelector(`[data-chat="${chat.key}"]`);
  if (!article) $("panels").append((article = panel(chat)));
  article.classList.toggle("current", chat.key === page.tab);
  article.classList.toggle("broken", chat.condition !== "works");
  article.querySelector(".outage").textContent = chat.condition === "works" ? "" : t("outage", t(chat.condition));
  const select = article.querySelector("select");
  if (document.activeElement !== select) select.value = chat.condition;
  const list = article.querySelector("ol");
  // Does not scroll if the visitor has scrolled back.
  const untouched = Math.abs(list.scrollTop - (list.placed ?? 0)) < 4;
  const follows = untouched || list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const press = (message) => (button) =>
    told(post("api/press", { chat: chat.key, message, button }).then((said) =>
      toast(said.toast?.[current() === "zh" ? "zh_cn" : "en_us"] ?? t("pressed"))));
  let grown = false;
  let changed = chat.messages.length === 0 && list.childElementCount === 0;
  for (const message of chat.messages) {
    const key = `${chat.key} ${message.id}`;
    const now = JSON.stringify(message);
    const before = page.drawn.get(key);
    if (before?.now === now) continue;
    const element = drawMessage(chat, message, press(message.id));
    if (before) {
      element.classList.toggle("touched", message.edits > before.edits);
      before.element.replaceWith(element);
    } else {
      element.classList.add("fresh");
      list.append(element);
      grown = true;
    }
    page.drawn.set(key, { now, element, edits: message.edits });
    changed = true;
  }
  if (!changed) return;
  list.querySelector(".empty")?.remove();
  if (chat.messages.length === 0) list.append(h("li", { class: "empty" }, t("empty")));
  // Scrolls to the card that counts a storm until the visitor scrolls away, else to the newest message, or to its
  // beginning if it is taller than the list.
  const card = chat.messages.find((message) => page.state.storm?.cards?.includes(message.id))?.id;
  if (!untouched) list.left = card;
  const counting = card !== list.left && page.drawn.get(`${chat.key} ${card}`)?.element;
  const toEnd = () => {
    const target = counting || list.lastElementChild;
    list.scrollTop = target.offsetTop - list.offsetTop - 10;
    list.placed = list.scrollTop;
  };
  // Keeps the scroll position when a click edits a message.
  if (!follows || !(grown || counting)) return;
  toEnd();
  for (const picture of list.querySelectorAll("img")) if (!picture.complete) picture.onload = toEnd;
}

function drawTabs(chats) {
  for (const [index, chat] of chats.entries()) {
    // Elements are reused, so that focus and scroll position stay.
    const tab = $("tabs").children[index] ?? $("tabs").appendChild(h("button", {
      type: "button", class: "tab", onclick: () => { page.tab = chat.key; draw(); },
    }));
    tab.setAttribute("aria-pressed", String(chat.key === page.tab));
    tab.classList.toggle("broken", chat.condition !== "works");
    tab.replaceChildren(chat[current()].split(" · ")[0], h("span", { class: "count" }, String(chat.messages.length)));
  }
}

// ---- events ----

const severity = (event) => {
  const all = event.deliveries.map((one) => one.severity);
  return event.said?.kind === "notice" ? "notice" : ["critical", "warning", "info"].find((one) => all.includes(one)) ?? "info";
};

const title = (event) => t(event.said?.fault ?? event.said?.kind ?? "fault");

function drawEvents(events) {
  const shown = followed(events);
  const items = events.map((event) => {
    const failing = event.deliveries.some((one) => one.state === "dead" || (one.state === "pending" && one.attempts.length > 0));
    // An edited message is already counted.
    const messages = event.deliveries.filter((one) => one.trigger !== "edit" && one.state !== "merged");
    const merged = event.deliveries.some((one) => one.state === "merged");
    const done = messages.filter((one) => one.state === "delivered").length;
    return h("li", {}, h("button", {
      type: "button", class: "event", "aria-current": event === shown ? "true" : undefined, "data-event": event.id,
      onclick: () => { page.chosen = event.id; draw(); },
    },
    h("span", { class: `bead ${severity(event)}` }),
    h("b", {}, title(event)), h("time", {}, clock(event.received_at)),
    h("span", { class: "words" }, event.said?.text ?? ""),
    h("span", { class: "tags" },
      h("span", { class: failing ? "bad" : "good" }, `${done}/${messages.length} ${t("delivered")}`),
      merged && h("span", {}, t("merged_tag")),
      event.pushes.length > 1 && h("span", {}, t("repeated", event.pushes.length)))));
  });
  const focused = document.activeElement?.dataset?.event;
  $("events").replaceChildren(...(items.length ? items : [h("li", { class: "empty" }, t("waiting"))]));
  if (focused) $("events").querySelector(`[data-event="${CSS.escape(focused)}"]`)?.focus();
}

function followed(events) {
  return events.find((event) => event.id === page.chosen) ?? events.find((event) => event.said?.kind !== "notice") ?? events[0];
}

function drawStrip(events) {
  const event = followed(events);
  const before = $("strip").querySelector("details");
  const focused = before?.contains(document.activeElement);
  $("followed").textContent = event ? `${title(event)} · ${event.said?.text ?? ""}` : t("waiting");
  $("strip").replaceChildren(...(event ? drawStages(event) : []));
  const details = $("strip").querySelector("details");
  if (details && before?.open && $("strip").dataset.event === event.id) details.open = true;
  if (focused) details?.querySelector("summary").focus();
  $("strip").dataset.event = event?.id ?? "";
}

// ---- the whole page ----

function draw() {
  const { state } = page;
  if (!state) return;
  drawShow(state);
  state.chats.forEach(drawChat);
  drawTabs(state.chats);
  drawEvents(state.events);
  drawStrip(state.events);
  $("pause").textContent = t(state.paused ? "resume" : "pause");
  $("pause").setAttribute("aria-pressed", String(state.paused));
}

function drawLive(on = $("live").classList.contains("on")) {
  $("live").classList.toggle("on", on);
  $("live").textContent = t(on ? "live" : "lost");
}

function drawWords() {
  document.documentElement.lang = current() === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  $("language").textContent = current() === "zh" ? "English" : "中文";
  $("report").text.placeholder = t("words_hint");
  const kind = $("kind").value;
  $("kind").replaceChildren(...KINDS.map((one) => h("option", { value: one }, t(one))));
  if (kind) $("kind").value = kind;
  $("hints").replaceChildren(...HINTS.map(([key, change]) =>
    h("button", { type: "button", class: "hint", onclick: () => suggest(change) }, t(key))));
  $("panels").replaceChildren();
  page.drawn.clear();
  drawLive();
  draw();
}

function watch() {
  const live = new EventSource("api/live");
  live.onopen = () => drawLive(true);
  live.onerror = () => drawLive(false);
  live.onmessage = (message) => {
    const version = page.state?.config.version;
    page.state = JSON.parse(message.data);
    draw();
    if (version !== page.state.config.version) told(readConfig());
  };
  // Shows how long each step has waited.
  setInterval(() => page.state && drawStrip(page.state.events), 1000);
}

// ---- the visitor's actions ----

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",")[1]);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

async function send(form) {
  const file = form.picture.files[0];
  if (file?.size > PICTURE_BYTES_MAX) throw new Error(t("too_large"));
  const picture = file ? await base64(file) : null;
  const { event } = await post("api/report", {
    kind: form.kind.value, text: form.text.value, contact: form.contact.value, picture, sample: form.sample.checked,
  });
  page.chosen = event;
  form.text.value = "";
  form.picture.value = "";
  $("sent").textContent = t("sent");
}

async function outage() {
  page.chosen = null;
  await post("api/condition", { chat: "oncall", condition: "fails" });
  setTimeout(() => told(post("api/condition", { chat: "oncall", condition: "works" })), 8000);
  await post("api/report", { kind: "crash", text: t("break_report"), contact: "", picture: null, sample: false });
}

// ---- relay.toml ----

/** Suggested changes: a pattern, and its replacement. */
const HINTS = [
  ["hint_move", [/(name = "suggestions"[^]*?send_to = \[)"product"/, '$1"oncall", "product"']],
  ["hint_severity", [/(name = "other faults"\nmatch = .*\nsend_to = .*)(?!\nseverity)/, '$1\nseverity = "critical"']],
  ["hint_typo", [/(name = "other faults"[^]*?send_to = )"oncall"/, '$1"on-call"']],
  ["hint_back", [/^[^]*$/, () => page.config]],
];

function showConfig(config) {
  $("path").textContent = config.path;
  $("commands").textContent = ["events list", "check", "destinations list", "deliveries list"]
    .map((command) => `feedback-relay --config ${config.path} ${command}`).join("\n");
  $("in-force").textContent = t(config.in_force ? "in_force" : "not_in_force");
  $("in-force").className = `state ${config.in_force ? "good" : "bad"}`;
  $("complaints").textContent = config.report.trim() || t("good");
}

async function readConfig() {
  const config = await (await fetch("api/config")).json();
  page.config ??= config.text;
  showConfig(config);
  if (document.activeElement !== $("config")) $("config").value = config.text;
}

async function save() {
  showConfig(await post("api/config", { text: $("config").value }));
}

function suggest([wanted, change]) {
  const text = $("config").value;
  const from = text.search(wanted);
  $("config").value = text.replace(wanted, change);
  $("config").focus();
  if (from < 0) return;
  $("config").setSelectionRange(from, from);
  $("config").scrollTop = (text.slice(0, from).split("\n").length - 3) * 19;
}

$("report").onsubmit = (event) => { event.preventDefault(); told(send(event.target)); };
$("outage").onclick = () => told(outage());
$("storm").onclick = () => told(post("api/storm", {}));
$("kill").onclick = () => told(post("api/kill", {}));
$("pause").onclick = () => told(post("api/pause", { paused: !page.state?.paused }));
$("language").onclick = () => { switchLanguage(); drawWords(); };
$("edit").onclick = () => $("editor").showModal();
$("save").onclick = () => told(save());
$("config").onkeydown = (event) => {
  if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  told(save());
};

drawWords();
watch();
