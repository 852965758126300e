// The steps of one event: intake, rule, images, delivery.

import { h, knows, size, span, t } from "./words.js";

const stage = (state, title, when, ...lines) =>
  h("li", { class: `stage ${state}` }, h("h3", {}, title, when && h("time", {}, when)), lines);

const line = (...parts) => h("p", {}, parts);

function intake(event) {
  const [first] = event.pushes;
  if (!first) return stage("done", t("intake"), null, line(t("own")));
  const answers = event.pushes.map((push) =>
    line(push.status === null ? t("unanswered") : t("answered", push.status)));
  const repeated = event.pushes.length > 1 && h("p", { class: "good" }, t("repeated", event.pushes.length));
  return stage("done", t("intake"), span(first.took_us / 1000), answers[0], repeated);
}

function why(rule) {
  if (rule.finding === "not_reached") return t("not_reached");
  return t("wants", rule.key, rule.wanted, rule.found || t("nothing"));
}

function rules(event) {
  const all = event.rules ?? [];
  const took = all.filter((rule) => rule.finding === "matched" || rule.finding === "continued");
  const others = all.filter((rule) => !took.includes(rule));
  const lines = took.map((rule) =>
    line(h("b", {}, rule.rule), rule.finding === "continued" && h("span", { class: "muted on" }, ` ${t("goes_on")} ↓`)));
  const rest = others.length > 0 && h("details", {}, h("summary", {}, t("why_not")),
    others.map((rule) => line(h("b", {}, rule.rule), ": ", why(rule))));
  if (event.said?.kind === "notice") return stage("idle", t("rule"), null, line(t("none")));
  return stage(took.length ? "done" : "idle", t("rule"), null, lines.length ? lines : line(t("no_rule")), rest);
}

function picture(one, _, all) {
  if (one.state === "kept") {
    const when = all.length > 1 && one.fetched !== null && `+${span(Math.max(one.fetched, 0))} · `;
    return line(when || "", t("kept", one.width, one.height, one.format.toUpperCase(), size(one.bytes)));
  }
  return line(one.state === "lost" ? t("lost_picture") : t("fetching"), one.reason && `: ${one.reason}`);
}

function pictures(event) {
  if (event.pictures.length === 0) return stage("idle", t("pictures"), null, line(t("none")));
  const kept = event.pictures.every((one) => one.state === "kept");
  const state = kept ? "done" : event.pictures.some((one) => one.state === "lost") ? "bad" : "busy";
  const last = Math.max(...event.pictures.map((one) => one.fetched ?? -1));
  return stage(state, t("pictures"), last >= 0 ? `+${span(last)}` : null, event.pictures.map(picture));
}

function attempt(one) {
  const good = one.outcome === "delivered";
  const said = good ? "✓" : one.code && one.code !== "0" ? one.code : one.status ?? "…";
  return h("span", { class: `try ${good ? "good" : "bad"}`, title: one.reason ?? span(one.took) }, `${said}`);
}

function delivery(one, received) {
  const last = one.attempts.at(-1);
  const waits = one.state === "pending" && last;
  const due = Math.max(received + one.due - Date.now(), 0);
  const when = one.state === "delivered" && last ? `+${span(last.at + last.took)}`
    : waits ? t("again_in", span(Math.ceil(due / 1000) * 1000)) : t(one.state);
  return h("div", { class: `to ${one.state}` },
    h("b", {}, one.to), knows(one.trigger) && h("span", { class: "muted" }, t(one.trigger)),
    h("span", { class: "tries" }, one.attempts.map(attempt)), h("time", {}, when));
}

function deliveries(event) {
  const all = event.deliveries;
  if (all.length === 0) return stage("idle", t("delivery"), null, line(t("none")));
  const failing = (one) => one.state === "dead" || (one.state === "pending" && one.attempts.length > 0);
  const state = all.some(failing) ? "bad" : all.every((one) => one.state === "delivered" || one.state === "merged") ? "done" : "busy";
  const ends = all.filter((one) => one.state === "delivered" && one.trigger === "event").map((one) => one.attempts.at(-1));
  const first = Math.min(...ends.filter(Boolean).map((end) => end.at + end.took));
  return stage(state, t("delivery"), Number.isFinite(first) ? `+${span(first)}` : null,
    all.map((one) => delivery(one, event.received_at)));
}

/** The stages of an event, as list items. */
export const drawStages = (event) => [intake(event), rules(event), pictures(event), deliveries(event)];
