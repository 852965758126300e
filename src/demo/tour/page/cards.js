// Draws messages roughly like Feishu and Slack.

import { clock, current, h, t } from "./words.js";

/** The display names of mentioned people. */
const PEOPLE = {
  ou_li: "李明", ou_chen: "陈晨", ou_you: ["You", "你"], all: ["Everyone", "所有人"],
  U0LIMING: "Li Ming", U0CHENCHEN: "Chen Chen", U0VISITOR: ["You", "你"],
};

function person(id) {
  const name = PEOPLE[id] ?? id;
  return Array.isArray(name) ? name[current() === "zh" ? 1 : 0] : name;
}

/** The names of reporters, who are made up. */
const REPORTERS = ["李娜", "Emma Rossi", "王芳", "Chidi Okafor", "张伟", "Yuki Tanaka", "刘洋", "Ana Souza"];

const someone = (id) => REPORTERS[[...id].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % REPORTERS.length];

/** The characters of HTML entities: the relay escapes a reporter's special characters with them. */
const plain = (text) =>
  text.replace(/&#(\d+);|&(amp|lt|gt|quot);/g, (_, code, name) =>
    code ? String.fromCodePoint(Number(code)) : { amp: "&", lt: "<", gt: ">", quot: '"' }[name]);

/** Draws text with markup: `marks` matches one mark, `draw` makes an element of the match. */
function marked(text, marks, draw) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(marks)) {
    if (found.index > from) parts.push(plain(text.slice(from, found.index)));
    parts.push(draw(found));
    from = found.index + found[0].length;
  }
  if (from < text.length) parts.push(plain(text.slice(from)));
  return parts;
}

const link = (href, text) => h("a", { href, rel: "noreferrer", target: "_blank" }, text);

const FEISHU = /<person id='([^']+)'[^>]*><\/person>|\*\*([^]+?)\*\*|<font color='([\w-]+)'>([^]*?)<\/font>|<at (?:id|email)=([^ >]+)><\/at>|\[([^\]]*)\]\((https?:[^)\s]+)\)|\n/g;

function markdown(text) {
  return marked(text, FEISHU, (found) => {
    const [, reporter, bold, colour, coloured, at, label, href] = found;
    if (reporter !== undefined) return h("span", { class: "at" }, `@${someone(reporter)}`);
    if (bold !== undefined) return h("b", {}, markdown(bold));
    if (colour !== undefined) return h("span", { class: `tint-${colour}` }, markdown(coloured));
    if (at !== undefined) return h("span", { class: "at" }, `@${person(at)}`);
    if (href !== undefined) return link(href, plain(label));
    return h("br");
  });
}

const SLACK = /\*([^*\n]+)\*|<@(\w+)>|<!subteam\^(\w+)[^>]*>|<!(channel|here|everyone)>|<(https?:[^|>]+)(?:\|([^>]*))?>|\n/g;

function mrkdwn(text) {
  return marked(text, SLACK, (found) => {
    const [, bold, user, group, all, href, label] = found;
    if (bold !== undefined) return h("b", {}, mrkdwn(bold));
    if (href !== undefined) return link(href, plain(label ?? href));
    const who = user ?? group ?? all;
    return who === undefined ? h("br") : h("span", { class: "at" }, `@${person(who)}`);
  });
}

const image = (platform, key, alt) =>
  h("img", { src: `api/pictures/${platform}/${encodeURIComponent(key)}`, alt, class: "shot", decoding: "async" });

/** Draws consecutive images side by side. */
function gathered(elements) {
  const rows = [];
  for (const element of elements) {
    if (element.tagName !== "IMG") rows.push(element);
    else if (rows.at(-1)?.className === "shots") rows.at(-1).append(element);
    else rows.push(h("div", { class: "shots" }, element));
  }
  return rows;
}

function feishuElement(element, press) {
  switch (element.tag) {
    case "markdown":
      return h("div", { class: element.text_size === "notation" ? "note" : "md" }, markdown(element.content));
    case "div":
      return h("div", { class: "said-text" }, element.text?.content ?? "");
    case "img":
      return image("feishu", element.img_key, element.alt?.content ?? "");
    case "column_set":
      return h("div", { class: `columns ${element.flex_mode}` },
        element.columns.map((column) => h("div", {}, gathered(column.elements.map((one) => feishuElement(one, press))))));
    case "button":
      return h("button", {
        type: "button", class: `act ${element.type}`, "data-act": element.element_id,
        disabled: !press, onclick: () => press?.(element.element_id),
      }, element.text.content);
    default:
      return h("div", {}, element.tag);
  }
}

/** Draws a title. The number that begins an incident's title is drawn large. */
function title(text) {
  const [, before, count, after] = /^(\P{L}{0,4}?)(\d[\d,]*)(.*)$/su.exec(text) ?? [];
  return h("span", { class: "title" }, count === undefined ? text : [before, h("span", { class: "large" }, count), after]);
}

function feishuCard(card, press) {
  const header = card.header && h("header", { class: `head ${card.header.template}` },
    title(card.header.title.content),
    (card.header.text_tag_list ?? []).map((tag) => h("span", { class: `tag ${tag.color}` }, tag.text.content)));
  return h("div", { class: "card" }, header,
    h("div", { class: "body" }, gathered(card.body.elements.map((element) => feishuElement(element, press)))));
}

/** Draws a custom bot's rich text: lines of texts, links and mentions. */
function feishuPost(content) {
  const post = Object.values(content.post ?? content)[0] ?? {};
  const piece = (one) =>
    one.tag === "a" ? link(one.href, one.text) : one.tag === "at" ? h("span", { class: "at" }, `@${person(one.user_id)}`) : one.text ?? "";
  return h("div", { class: "bubble" }, h("b", {}, post.title ?? ""), (post.content ?? []).map((line) => h("div", {}, line.map(piece))));
}

function feishu(message, press) {
  const said = message.type === "interactive" ? feishuCard(message.content, press)
    : message.type === "post" ? feishuPost(message.content)
    : h("div", { class: "bubble" }, message.content.text ?? "");
  return [sender(message, "馈", current() === "zh" ? "反馈助手" : "Feedback", t("bot")), said];
}

function slackText(text) {
  return text.type === "mrkdwn" ? mrkdwn(text.text) : text.text;
}

function slackBlock(block, press) {
  switch (block.type) {
    case "header": return h("div", {}, title(block.text.text));
    case "divider": return h("hr");
    case "context": return h("div", { class: "note" }, block.elements.map(slackText));
    case "image": return image("slack", block.slack_file?.id ?? "", block.alt_text);
    case "section":
      return h("div", { class: "section" },
        block.text && h("div", { class: block.text.type === "plain_text" ? "said-text" : "md" }, slackText(block.text)),
        block.fields && h("div", { class: "fields" }, block.fields.map((field) => h("div", {}, slackText(field)))));
    case "actions":
      return h("div", { class: "actions" }, block.elements.map((button) => h("button", {
        type: "button", class: `act ${button.style ?? "default"}`, "data-act": button.action_id,
        disabled: !press, onclick: () => press?.(button.action_id),
      }, button.text.text)));
    default: return h("div", {}, block.type);
  }
}

function slack(message, press) {
  const said = Array.isArray(message.blocks)
    ? h("div", { class: "blocks" }, gathered(message.blocks.map((block) => slackBlock(block, press))))
    : h("div", { class: "md" }, mrkdwn(message.text));
  return [sender(message, "F", "feedback", t("app")), said];
}

const sender = (message, initial, name, kind) =>
  h("div", { class: "sender" }, h("span", { class: "avatar" }, initial), h("b", {}, name), h("span", { class: "kind" }, kind), h("time", {}, clock(message.at)),
    message.edits > 0 && h("span", { class: "edited" }, t("edited")));

function webhook(message) {
  const feedback = message.body.data?.feedback ?? {};
  const what = feedback.faults?.[0]?.label ?? feedback.type?.label ?? "";
  return [h("details", { class: "hook" },
    h("summary", {},
      h("time", {}, clock(message.at)), h("code", {}, message.body.type ?? ""), h("b", {}, what),
      h("span", { class: "words" }, feedback.description ?? message.body.data?.notice?.text ?? ""),
      h("span", { class: "ok" }, `✓ ${t("signed")}`)),
    h("pre", { tabIndex: 0 }, JSON.stringify(message.body, null, 2)))];
}

const KINDS = { "feishu-app": feishu, "feishu-bot": feishu, "slack-app": slack, webhook };

/** Draws a message of a chat. `press` is called with a button's id if the chat supports buttons. */
export function drawMessage(chat, message, press) {
  const buttons = chat.kind === "feishu-app" || chat.kind === "slack-app";
  const drawn = KINDS[chat.kind](message, buttons ? press : undefined);
  return h("li", { class: `message ${chat.kind}${message.parent ? " reply" : ""}`, "data-id": message.id }, drawn);
}
