// Every text of the page, in English and Chinese, except the texts of reports and messages.

const WORDS = {
  skip: ["Skip to the chats", "跳到会话"],
  tagline: ["The whole relay on this machine. No account, nothing leaves it.", "整个中继都在这台机器上运行，无需账号，数据不出本机。"],
  live: ["live", "实时"],
  lost: ["the demo has ended", "演示已结束"],
  pause: ["Pause reports", "暂停上报"],
  resume: ["Resume reports", "继续上报"],
  show: ["Show it to a colleague", "给同事看看"],
  show_hint: ["A thousand people report one fault. In the chats that is one card, which counts.", "一千个人报同一个故障，群里只有一张卡片在计数。"],
  storm_do: ["1,000 white screens", "1,000 次白屏"],
  storm_hint: ["within 20 seconds", "20 秒内涌入"],
  storm_busy: ["coming in…", "正在涌入……"],
  storm_running: ["They come in. Kill the relay now.", "正在涌入，现在就杀掉 relay 试试。"],
  storm_waits: ["What is not acknowledged is pushed again.", "没有应答的会重推。"],
  kill_do: ["kill -9", "kill -9"],
  kill_hint: ["the relay, at any moment", "随时杀掉 relay"],
  kill_busy: ["starting again…", "正在重启……"],
  progress: ["Acknowledged reports", "已应答的反馈"],
  figure_reports: ["reports", "条反馈"],
  figure_messages: ["on-call messages", "条值班群消息"],
  figure_edits: ["edits of the card", "次卡片更新"],
  proof: ["acknowledged {0} – counted {1}", "已应答 {0} – 已计数 {1}"],
  proof_suggestions: ["{0} suggestions reached their chats.", "{0} 条建议照常送达各自的群。"],
  proof_repeats: ["Feishu pushed again {0} times; each report counts once.", "飞书重推了 {0} 次，每条只计一次。"],
  relay_runs: ["The relay runs (pid {0}).", "relay 运行中（pid {0}）。"],
  relay_starts: ["The relay is starting (pid {0}).", "relay 启动中（pid {0}）。"],
  killed: ["killed (pid {0})", "已杀掉（pid {0}）"],
  restarting: ["starting again…", "正在重启……"],
  restarted: ["started again after {0} (pid {1}),", "{0} 后重新启动（pid {1}），"],
  checking: ["looking for what was acknowledged…", "正在核对已应答的反馈……"],
  nothing_lost: ["nothing lost: all {0} acknowledged events are there", "一条不丢：已应答的 {0} 条都在"],
  events_lost: ["{0} acknowledged events are missing", "已应答的 {0} 条不见了"],
  follow: ["The steps of one report", "一条反馈的旅程"],
  reports: ["Reports", "收到的反馈"],
  waiting: ["The first report is about to arrive.", "第一条反馈马上就到。"],
  empty: ["Nothing yet.", "暂无消息。"],
  try: ["Try next", "接下来试试"],
  send_title: ["Send your own report", "自己提一条反馈"],
  kind: ["What is it?", "类型"],
  words: ["In your words", "描述"],
  words_hint: ["The pay button does nothing…", "点击支付没有反应……"],
  contact: ["Contact", "联系方式"],
  picture: ["Your picture", "图片"],
  sample: ["Attach a sample screenshot", "附上示例截图"],
  send: ["Send", "提交"],
  sent: ["Sent. Follow it above.", "已提交，在上方查看它的旅程。"],
  too_large: ["The picture is larger than 6 MB.", "图片超过 6 MB。"],
  failed: ["That did not work: ", "没有成功："],
  break_title: ["Break a chat", "弄坏一个会话"],
  break_text: ["Each chat has a switch: it can answer 503, limit the rate, or hang. Its messages wait, are retried, and arrive when the chat works again. Other chats are not delayed.", "每个会话右上角都有开关：返回 503、限流或无响应。消息会等待、重试，恢复后送达，其他会话不受影响。"],
  break_report: ["Checkout stopped working for the whole shop a minute ago.", "一分钟前全店都无法结算了。"],
  break_do: ["On-call down for 8 s, with a report", "值班群中断 8 秒，并提一条反馈"],
  rule_title: ["Change a rule", "改一条规则"],
  rule_text: ["The rules are one TOML file. Save it here or in your editor. The relay applies it at once, or rejects it and shows the wrong line.", "规则就是一个 TOML 文件。在这里或编辑器里保存：立即生效；有错则指出行号并保留旧规则。"],
  rule_do: ["Open relay.toml", "打开 relay.toml"],
  press_title: ["Press a button on a card", "点一下卡片按钮"],
  press_text: ["Press Claim or Done in the on-call group or in Slack. The relay gets the click as the platform sends it. It sets the status in Feishu, and every copy of the card shows who claimed it.", "在值班群或 Slack 点“我来处理”或“已处理”：点击按平台的方式回传给中继，飞书里的反馈状态随之更新，所有副本都会显示处理人。"],
  look_title: ["Ask the relay itself", "直接问中继"],
  look_text: ["From another terminal:", "在另一个终端里："],
  close: ["Close", "关闭"],
  save: ["Save", "保存"],
  editor_note: ["Ctrl+S saves", "Ctrl+S 保存"],
  in_force: ["active", "已生效"],
  not_in_force: ["rejected; the old rules stay active", "未通过，仍用旧规则"],
  hint_typo: ["Misspell a destination", "写错一个目标"],
  hint_move: ["Suggestions to on-call too", "建议也发值班群"],
  hint_severity: ["Make other faults critical", "其他故障改为紧急"],
  hint_back: ["Restore", "恢复原样"],
  good: ["No mistakes found.", "检查通过。"],
  intake: ["Intake", "接收"],
  rule: ["Rule", "规则"],
  pictures: ["Pictures", "图片"],
  delivery: ["Delivery", "送达"],
  answered: ["signature valid, decrypted, stored; then answered {0}", "验签、解密、落盘之后应答 {0}"],
  unanswered: ["no answer", "无应答"],
  own: ["a notice to the operator", "中继给运维的通知"],
  repeated: ["pushed {0} times, delivered once", "推送 {0} 次，只通知一次"],
  no_rule: ["no rule matched", "没有规则命中"],
  goes_on: ["continues", "继续"],
  why_not: ["why not the others", "其余为何未命中"],
  wants: ["{0} wants {1}, found {2}", "{0} 要求 {1}，实际 {2}"],
  nothing: ["nothing", "无"],
  not_reached: ["not reached", "未到达"],
  none: ["none", "无"],
  kept: ["{0}×{1} {2}, {3}", "{0}×{1} {2}，{3}"],
  after: ["after {0}", "{0} 后"],
  fetching: ["being fetched…", "获取中……"],
  lost_picture: ["could not be fetched", "未能获取"],
  delivered: ["delivered", "已送达"],
  pending: ["waiting", "等待中"],
  sending: ["sending…", "发送中……"],
  dead: ["given up", "已放弃"],
  again_in: ["retry in {0}", "{0} 后重试"],
  edit: ["edit", "更新"],
  merged: ["counted in the incident", "计入故障事件"],
  merged_tag: ["counted", "已计数"],
  incident: ["incident", "故障事件"],
  late_images: ["late pictures", "补发图片"],
  works: ["works", "正常"],
  fails: ["answers 503", "返回 503"],
  limits: ["limits the rate", "限流"],
  hangs: ["hangs", "无响应"],
  outage: ["This chat {0}. Messages to it wait and are retried.", "该会话{0}：消息在等待并会重试。"],
  condition: ["How {0} answers", "{0} 的响应"],
  edited: ["edited", "已更新"],
  signed: ["signature valid", "签名有效"],
  bot: ["BOT", "机器人"],
  app: ["APP", "APP"],
  suggestion: ["Suggestion", "建议"],
  notice: ["Notice", "通知"],
  fault: ["Fault", "故障"],
  white_screen: ["White screen", "白屏"],
  black_screen: ["Black screen", "黑屏"],
  cannot_open: ["Cannot open", "无法打开"],
  stutter: ["Stutters", "卡顿"],
  crash: ["Crash", "闪退"],
  slow_load: ["Slow to load", "加载慢"],
  freeze: ["Freezes", "死机"],
  other: ["Other fault", "其他异常"],
  pressed: ["Sent to the relay.", "已回传给中继。"],
};

let language = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

/** The language of the page: "en" or "zh". */
export const current = () => language;

/** Switches to the other language. */
export function switchLanguage() {
  language = language === "en" ? "zh" : "en";
  localStorage.setItem("language", language);
}

/** Returns the text for `key` with values for {0}, {1}. */
export function t(key, ...values) {
  const words = WORDS[key]?.[language === "zh" ? 1 : 0] ?? key;
  return words.replace(/\{(\d)\}/g, (_, index) => values[index] ?? "");
}

/** Returns whether there is a text for `key`. */
export const knows = (key) => key in WORDS;

/** Formats a duration in milliseconds. */
export function span(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

/** Formats a count. */
export const number = (count) => count.toLocaleString("en");

/** Formats a time of day. */
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

/** Formats a number of bytes. */
export const size = (bytes) => (bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(0)} KB`);

/**
 * Creates an element. `props` are its properties (`class`, `data-…` and `aria-…` are attributes), `children` are
 * elements or texts. Texts are never parsed as HTML.
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class" || name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
