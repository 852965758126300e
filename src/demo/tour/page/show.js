// The storm and the kill: their buttons, the figures, the proof, and the relay's process.

import { h, number, span, t } from "./words.js";

const $ = (id) => document.getElementById(id);

/** Sets a text only if it has changed, because screen readers read every change of a live region. */
function say(element, ...parts) {
  const text = parts.map((part) => part.textContent ?? part).join("");
  if (element.textContent !== text) element.replaceChildren(...parts);
}

const figure = (value, name) => h("div", {}, h("dt", {}, name), h("dd", {}, number(value)));

function drawFigures(storm) {
  const { acknowledged = 0, messages = 0, edits = 0, reports = 0 } = storm ?? {};
  $("tally").replaceChildren(
    figure(acknowledged, t("figure_reports")),
    figure(messages, t("figure_messages")),
    figure(edits, t("figure_edits")));
  $("progress").value = reports ? acknowledged / reports : 0;
  $("progress").setAttribute("aria-label", t("progress"));
}

/** Whether the storm is over, and its last report is counted. */
export const isProven = (storm) => !storm.running && storm.counted === storm.acknowledged;

function drawProof(storm, relay) {
  $("proof").classList.toggle("good", Boolean(storm && isProven(storm)));
  if (!storm) return say($("proof"), t("show_hint"));
  if (!isProven(storm)) return say($("proof"), t(relay.ready ? "storm_running" : "storm_waits"));
  const sum = t("proof", number(storm.acknowledged), number(storm.counted));
  const repeats = storm.repeats > 0 ? ` ${t("proof_repeats", number(storm.repeats))}` : "";
  say($("proof"), h("b", {}, sum), ` ${t("proof_suggestions", storm.suggestions)}${repeats}`);
}

function drawRelay({ pid, ready, restart }) {
  $("relay").classList.toggle("on", ready);
  if (!restart) return say($("relay"), t(ready ? "relay_runs" : "relay_starts", pid));
  const killed = h("b", {}, t("killed", restart.killed));
  if (restart.down_ms === null) return say($("relay"), killed, ` · ${t("restarting")}`);
  const back = t("restarted", span(restart.down_ms), pid);
  const lost = restart.lost === null ? t("checking")
    : restart.lost === 0 ? t("nothing_lost", number(restart.acknowledged)) : t("events_lost", number(restart.lost));
  say($("relay"), killed, ` · ${back}`, h("span", { class: restart.lost ? "bad" : "good" }, ` ${lost}`));
}

/** Draws the section from the state. */
export function drawShow({ storm, relay }) {
  $("storm").disabled = Boolean(storm?.running);
  $("kill").disabled = !relay.ready;
  $("storm-hint").textContent = t(storm?.running ? "storm_busy" : "storm_hint");
  $("kill-hint").textContent = t(relay.ready ? "kill_hint" : "kill_busy");
  drawFigures(storm);
  drawProof(storm, relay);
  drawRelay(relay);
}
