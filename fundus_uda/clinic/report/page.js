"use strict";
const byId = (id) => document.getElementById(id);
const gallery = byId("gallery");
const section = byId("photographs");
const form = document.querySelector("form.controls");
const zoom = byId("zoom");
const VERDICTS = {accept: "Accepted", reject: "Rejected"};
const KEPT = `fundus-uda reviews ${gallery.dataset.key}`;

const AT_ONCE = 200;  // cards that are made and shown together
const TITLES = JSON.parse(byId("titles").textContent);
const byNumber = new Intl.Collator(undefined, {numeric: true});

const first = [...gallery.children].map((item) => ({
  item, name: item.dataset.name, status: item.dataset.status, flags: item.dataset.flags,
  values: JSON.parse(item.dataset.values), review: item.dataset.review,
  comment: item.dataset.comment,
}));
const cards = [...first, ...JSON.parse(byId("others").textContent)].map((card, index) => ({
  ...card, index, flags: card.flags.split(" "), reported: Boolean(card.review || card.comment),
}));
const ofItem = new Map(first.map(({item}, index) => [item, cards[index]]));
const cardOf = (element) => ofItem.get(element.closest("#gallery > li"));
let visible = cards;

function itemOf(card) {  // made when it is first shown
  if (!card.item) {
    const made = document.createElement("template");
    made.innerHTML = card.html;
    card.item = made.content.firstElementChild;
    card.html = "";
    ofItem.set(card.item, card);
    if (Object.keys(card.values).length) card.item.querySelector(".about").append(tableOf(card));
    complete(card);
  }
  return card.item;
}

function tableOf(card) {
  const details = document.createElement("details"), table = document.createElement("table");
  const summary = document.createElement("summary");
  summary.textContent = "Measurements";
  for (const [name, value] of Object.entries(card.values)) {
    const row = table.insertRow(), title = document.createElement("th");
    title.scope = "row";
    title.textContent = TITLES[name];
    row.append(title);
    row.insertCell().textContent = value.toFixed(Math.abs(value) >= 10 ? 0 : 3);
  }
  details.append(summary, table);
  return details;
}

function complete(card) {
  const part = byId("review").content.firstElementChild.cloneNode(true);
  if (!card.item.querySelector(".eye")) part.querySelector("[data-zooms]").remove();
  part.querySelector("input").setAttribute("aria-label", `Comment on ${card.name}`);
  card.item.querySelector(".verdict").after(part);
  show(card);
}

// Order, filter and switches

function compare(a, b) {
  const measure = byId("sort").value, sign = Number(byId("order").value);
  if (measure === "") return sign * (a.index - b.index);
  if (measure === "name") return sign * byNumber.compare(a.name, b.name);
  const x = a.values[measure], y = b.values[measure];
  if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
  return sign * (x - y) || a.index - b.index;
}

function wanted(card) {
  const [kind, name] = byId("flag").value.split(":"), measure = byId("measure").value;
  if (kind === "flag" ? !card.flags.includes(name)
    : kind === "review" ? card.review !== name
    : kind && card.status !== kind) return false;
  if (measure === "") return true;
  const value = card.values[measure];
  if (value === undefined) return false;
  const least = byId("least").value, most = byId("most").value;
  return (least === "" || value >= Number(least)) && (most === "" || value <= Number(most));
}

function update() {
  visible = cards.filter(wanted).sort(compare);
  gallery.replaceChildren();
  extend();
  switchOutlines();
  count();
}

function extend(least = 1) {
  const made = gallery.childElementCount, needed = Math.max(made + AT_ONCE, least);
  gallery.append(...visible.slice(made, needed).map(itemOf));
  atEnd.disconnect();  // and anew, since it tells of changes alone
  if (needed < visible.length) atEnd.observe(byId("end"));
}

const atEnd = new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) extend();
}, {rootMargin: "2000px"});

function switchOutlines() {
  for (const box of form.querySelectorAll("[data-hides]"))
    section.classList.toggle(box.dataset.hides, !box.checked);
  for (const box of form.querySelectorAll("[data-shows]"))
    section.classList.toggle(box.dataset.shows, box.checked);
}

function count() {
  const reviewed = cards.filter((card) => card.review).length;
  byId("count").textContent = `${visible.length} of ${cards.length}`
    + (reviewed ? `, ${reviewed} reviewed` : "");
}

function flip(selector) {
  const box = form.querySelector(selector);
  if (!box) return;
  box.checked = !box.checked;
  switchOutlines();  // no more: cards that move lose the focus
}

// Reviews

function readKept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  } catch {  // none can be kept, or what was kept is damaged
    return {};
  }
}

function keep() {
  const said = cards.filter((card) => card.review || card.comment || card.reported);
  const kept = said.map(({name, review, comment}) => [name, {review, comment}]);
  try {
    localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(kept)));
  } catch {
    byId("keys").textContent = "This browser keeps no reviews: export them before you leave.";
  }
}

function press(place, card) {
  for (const button of place.querySelectorAll("[data-verdict]"))
    button.setAttribute("aria-pressed", String(button.dataset.verdict === card.review));
}

function show(card) {
  press(card.item, card);
  const input = card.item.querySelector(".review input");
  if (input.value !== card.comment) input.value = card.comment;
  const verdict = card.item.querySelector(".verdict");
  verdict.className = `verdict ${card.review}`;
  verdict.textContent = [VERDICTS[card.review] ?? (card.comment ? "Comment" : ""), card.comment]
    .filter(Boolean).join(": ");
  if (zoom.open && zoomed === card) press(zoom, card);
}

function review(card, verdict) {
  card.review = card.review === verdict ? "" : verdict;
  show(card);
  keep();
  count();
}

function reviewsAsCsv() {
  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  const rows = cards.filter((card) => card.review || card.comment.trim())
    .map((card) => [card.name, card.review, card.comment.trim()].map(quoted).join(","));
  return ["image,review,comment", ...rows, ""].join("\r\n");
}

function exportReviews() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", reviewsAsCsv()], {type: "text/csv"}));
  link.download = "reviews.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// Zoom

let zoomed = null, scale = 1;

function openZoom(card) {
  const picture = card.item.querySelector(".eye");
  if (!picture) return;
  zoomed = card;
  const view = byId("zoom-view");
  const whole = card.item.querySelector(".whole");
  view.replaceChildren(picture.cloneNode(true), ...(whole ? [whole.cloneNode(true)] : []));
  byId("zoom-name").textContent = card.name;
  if (!zoom.open) zoom.showModal();
  const {width, height} = picture.viewBox.baseVal;
  setScale(1);  // its text may make the bar higher, and the view lower
  setScale(Math.min(view.clientWidth / width, view.clientHeight / height));
  press(zoom, card);
  view.focus();
}

function setScale(wished) {
  const picture = byId("zoom-view").querySelector(".eye");
  scale = Math.min(8, Math.max(0.1, wished));
  picture.style.width = `${Math.floor(scale * picture.viewBox.baseVal.width)}px`;
  byId("zoom-size").textContent
    = `${picture.dataset.size} pixels, enlarged ${scale.toFixed(1)} times`;
}

function go(card, steps) {
  const place = visible.indexOf(card) + steps, next = visible[place];
  if (!next) return;
  if (place >= gallery.childElementCount) extend(place + 1);
  if (zoom.open) {
    if (next.item.querySelector(".eye")) openZoom(next);
    else go(next, Math.sign(steps));
  } else {
    next.item.focus();
  }
}

function columnCount() {
  const [top, ...others] = [...gallery.children].map((item) => item.offsetTop);
  const below = others.findIndex((other) => other > top);
  return below === -1 ? others.length + 1 : below + 1;
}

function onKey(event, card) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const row = zoom.open ? 1 : columnCount();
  const actions = {
    ArrowRight: () => go(card, 1), ArrowLeft: () => go(card, -1),
    ArrowDown: () => go(card, row), ArrowUp: () => go(card, -row),
    a: () => review(card, "accept"), r: () => review(card, "reject"),
    c: () => { zoom.close(); card.item.querySelector(".review input").focus(); },
    z: () => { if (zoom.open) zoom.close(); else openZoom(card); },
    m: () => flip("[data-shows=with-affinity]"), o: () => flip("[data-hides=no-outlines]"),
  };
  if (zoom.open) {
    actions["+"] = () => setScale(scale * 1.5);
    actions["-"] = () => setScale(scale / 1.5);
  }
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

gallery.addEventListener("keydown", (event) => {
  const card = cardOf(event.target);
  if (event.target.matches("input")) {
    if (event.key === "Escape" || event.key === "Enter") card.item.focus();
  } else {
    onKey(event, card);
  }
});
gallery.addEventListener("click", (event) => {
  const card = cardOf(event.target);
  if (!card) return;
  const button = event.target.closest("[data-verdict]");
  if (button) review(card, button.dataset.verdict);
  else if (event.target.closest(".eye, [data-zooms]")) openZoom(card);
});
gallery.addEventListener("input", (event) => {
  const card = cardOf(event.target);
  card.comment = event.target.value;
  show(card);
  keep();
});
zoom.addEventListener("keydown", (event) => onKey(event, zoomed));
zoom.addEventListener("close", () => {
  byId("zoom-view").replaceChildren();
  zoomed.item.focus();
});
byId("zoom-view").addEventListener("click", (event) => {
  if (event.target.closest(".eye")) setScale(scale * 1.5);
});
byId("smaller").addEventListener("click", () => setScale(scale / 1.5));
byId("larger").addEventListener("click", () => setScale(scale * 1.5));
byId("previous").addEventListener("click", () => go(zoomed, -1));
byId("next").addEventListener("click", () => go(zoomed, 1));
for (const button of zoom.querySelectorAll("[data-verdict]"))
  button.addEventListener("click", () => review(zoomed, button.dataset.verdict));
byId("close").addEventListener("click", () => zoom.close());
byId("export").addEventListener("click", exportReviews);
byId("clear").addEventListener("click", () => { form.reset(); update(); });
form.addEventListener("input", (event) => {
  if (event.target.matches("[type=checkbox]")) switchOutlines();  // and the place stays
  else update();
});
form.addEventListener("submit", (event) => event.preventDefault());

addEventListener("beforeprint", () => extend(visible.length));

const kept = readKept();
for (const card of cards) Object.assign(card, kept[card.name]);
for (const {item} of first) complete(ofItem.get(item));
byId("keys").hidden = false;
update();
