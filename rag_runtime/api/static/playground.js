// Ask, read, check, and bring documents in. Everything from documents and answers is set as text, never as markup.
const $ = (id) => document.getElementById(id);
const KEY = "ragops-key";
const PAGE_SIZE = 20;
const POLL_MS = 500;
const HEALTH_MS = 15_000;

let asking = null; // the AbortController of the answer that is being written
let after = null; // where the next page of documents begins
let listing = 0; // the newest list of documents: what comes late for an older one is dropped

// ---- the service

function headers(more = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}`, ...more } : more;
}

class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || `the service answered ${status}`);
    this.status = status;
  }
}

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  return new Refused(problem, response.status);
}

async function call(path, options = {}) {
  const response = await fetch(path, { ...options, headers: headers(options.headers) });
  if (!response.ok) throw await refusal(response);
  return response;
}

// Asks for a key where one is missing; says in words what else went wrong.
function explain(error) {
  if (error.status === 401) {
    askForKey({ refused: sessionStorage.getItem(KEY) !== null });
    return "This service needs a key.";
  }
  if (error instanceof TypeError) return "The service cannot be reached.";
  return error.message;
}

// Server-sent events as [name, data], from a body that was asked for by POST, which EventSource cannot.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const lines = block.split("\n");
        const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
        const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
        if (name && data) yield [name, JSON.parse(data)];
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// ---- asking

async function ask(question) {
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  const shown = beginAnswer();
  const style = $("style").value;
  const request = { question, top_k: Number($("top-k").value) || 5, stream: true, ...(style && { style }) };
  try {
    const response = await call("/v1/query", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(request),
      signal: mine.signal,
    });
    for await (const [name, data] of events(response.body)) shown[name]?.(data);
    if (!shown.ended) throw new Error("The answer was cut off: ask again.");
  } catch (error) {
    if (error.name === "AbortError") notice("Stopped.", "");
    else notice(explain(error), "error");
  } finally {
    if (asking === mine) asking = null;
    $("answer-text").setAttribute("aria-busy", String(asking !== null));
    $("ask-button").textContent = asking ? "Stop" : "Ask";
  }
}

// What each event does to the page.
function beginAnswer() {
  let hits = [];
  let text = "";
  const citations = new Map();
  $("answer").hidden = false;
  $("sources").hidden = true;
  $("rating").hidden = true;
  $("notice").hidden = true;
  $("facts").textContent = "";
  $("answer-text").replaceChildren();
  $("answer-text").setAttribute("aria-busy", "true");
  $("citations").replaceChildren();
  $("ask-button").textContent = "Stop";
  const shown = {
    ended: false,
    hits(data) {
      hits = data.hits;
      $("hits").replaceChildren(...hits.map((hit, index) => passage(hit, index + 1, hit.text, "")));
      $("hit-count").textContent = String(hits.length);
      $("sources").hidden = hits.length === 0;
    },
    text(data) {
      text += data.text;
      write(text, citations);
    },
    citation(data) {
      citations.set(data.number, data);
      $("citations").append(citationItem(data, hits));
      write(text, citations);
    },
    done(data) {
      shown.ended = true;
      citations.clear();
      data.citations.forEach((citation, index) => citations.set(index + 1, { number: index + 1, ...citation }));
      $("citations").replaceChildren(...[...citations.values()].map((citation) => citationItem(citation, hits)));
      write(data.answer, citations);
      $("facts").textContent = facts(data);
      if (data.degraded) notice(`The language model was not used (${data.degraded_reason}): these are quotes.`, "");
      $("rating").hidden = false;
      $("rating").dataset.request = data.request_id ?? "";
      $("rating-label").textContent = "Did this help?";
      for (const button of $("rating").querySelectorAll("button")) button.disabled = false;
    },
    error(data) {
      shown.ended = true;
      notice(data.detail || data.title, "error");
    },
  };
  return shown;
}

function facts(data) {
  const parts = [`answered as ${data.route}`, `${Math.round(data.timings_ms.total)} ms`];
  const tokens = (data.usage?.tokens_in ?? 0) + (data.usage?.tokens_out ?? 0);
  if (tokens) parts.push(`${tokens} tokens`);
  return parts.join(" · ");
}

function notice(text, kind) {
  $("notice").textContent = text;
  $("notice").dataset.kind = kind;
  $("notice").hidden = false;
}

// The text with its marks [1], [2] as links to the citations that are known.
function write(text, citations) {
  const parts = text.split(/\[(\d{1,3})\]/);
  $("answer-text").replaceChildren(
    ...parts.map((part, index) => {
      if (index % 2 === 0) return document.createTextNode(part);
      const citation = citations.get(Number(part));
      return citation ? reference(citation) : document.createTextNode(`[${part}]`);
    }),
  );
}

function reference(citation) {
  const link = element("a", "ref", String(citation.number));
  link.href = `#citation-${citation.number}`;
  link.title = where(citation);
  link.setAttribute("aria-label", `Source ${citation.number}: ${where(citation)}`);
  return link;
}

function citationItem(citation, hits) {
  const hit = hits.find((one) => one.document_id === citation.document_id && one.text.includes(citation.text));
  const item = passage(citation, citation.number, hit ? hit.text : citation.text, citation.text);
  item.id = `citation-${citation.number}`;
  item.tabIndex = -1;
  // A long passage shows its quoted part first.
  requestAnimationFrame(() => {
    const [body, mark] = [item.querySelector(".passage"), item.querySelector("mark")];
    if (mark) body.scrollTop = mark.offsetTop - body.offsetTop - body.clientHeight / 4;
  });
  return item;
}

// A passage with its source, and with the quoted part of it marked.
function passage(found, number, text, quoted) {
  const item = element("li");
  const head = element("p", "source");
  head.append(element("span", "number", `[${number}]`), element("span", "", found.source));
  if (place(found)) head.append(element("span", "place", place(found)));
  head.append(element("span", "score", `score ${found.score.toFixed(3)}`));
  const body = element("p", "passage");
  const at = quoted ? text.indexOf(quoted) : -1;
  if (at < 0) body.append(text);
  else body.append(text.slice(0, at), element("mark", "", quoted), text.slice(at + quoted.length));
  item.append(head, body);
  return item;
}

function place(found) {
  if (found.page != null) return `page ${found.page}`;
  return found.row != null ? `row ${found.row}` : "";
}

function where(found) {
  return [found.source, place(found)].filter(Boolean).join(", ");
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

async function rate(rating) {
  for (const button of $("rating").querySelectorAll("button")) button.disabled = true;
  try {
    await call("/v1/feedback", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ request_id: $("rating").dataset.request, rating }),
    });
    $("rating-label").textContent = "Thank you.";
  } catch (error) {
    $("rating-label").textContent = explain(error);
  }
}

// ---- documents

function upload(file) {
  const item = element("li");
  const bar = element("progress");
  const what = element("span", "what", "sending");
  bar.max = 1;
  bar.setAttribute("aria-label", `Progress of ${file.name}`);
  item.append(element("span", "name", file.name), " ", what, bar);
  $("uploads").prepend(item);
  const set = (state, text, value) => {
    item.dataset.state = state;
    what.textContent = text;
    if (value === undefined) bar.removeAttribute("value");
    else bar.value = value;
    bar.hidden = state !== "busy";
  };
  send(file, (part) => set("busy", part < 1 ? "sending" : "reading", part < 1 ? part : undefined))
    .then((id) => follow(id, (text) => set("busy", text)))
    .then((result) => set(result.status, outcome(result)))
    .catch((error) => set("failed", explain(error)))
    .finally(refresh);
}

// By XMLHttpRequest, as fetch does not tell how much of a body has been sent.
function send(file, progress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("files", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/documents");
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onerror = () => reject(new TypeError("unreachable"));
    request.onload = () => {
      if (request.status === 202) resolve(request.response.job_id);
      else reject(new Refused(request.response ?? {}, request.status));
    };
    request.send(form);
  });
}

async function follow(id, tell) {
  for (;;) {
    const job = await (await call(`/v1/jobs/${encodeURIComponent(id)}`)).json();
    const file = job.files[0];
    if (job.status !== "queued" && job.status !== "running") return file;
    tell(file.chunks ? `${file.chunks} chunks so far` : "reading");
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function outcome(file) {
  if (file.status === "failed") return file.error?.detail ?? "failed";
  return file.status === "unchanged" ? "unchanged" : `stored, ${file.chunks} chunks`;
}

async function refresh() {
  after = null;
  await more({ anew: true });
}

async function more({ anew = false } = {}) {
  const mine = ++listing;
  try {
    const start = after ? `&after=${encodeURIComponent(after)}` : "";
    const page = await (await call(`/v1/documents?limit=${PAGE_SIZE}${start}`)).json();
    if (mine !== listing) return;
    after = page.next;
    if (anew) $("documents").replaceChildren();
    $("documents").append(...page.documents.map(documentItem));
    $("no-documents").textContent = "There are none yet.";
    $("no-documents").hidden = $("documents").children.length > 0;
  } catch (error) {
    if (mine !== listing) return;
    after = null;
    $("no-documents").hidden = false;
    $("no-documents").textContent = explain(error);
  }
  $("more").hidden = after === null;
}

function documentItem(found) {
  const item = element("li");
  const remove = element("button", "quiet", "Remove");
  remove.type = "button";
  remove.setAttribute("aria-label", `Remove ${found.source}`);
  remove.onclick = async () => {
    if (!confirm(`Remove ${found.source} and all its chunks?`)) return;
    remove.disabled = true;
    try {
      await call(`/v1/documents/${encodeURIComponent(found.id)}`, { method: "DELETE" });
      await refresh();
      $("documents-title").focus();
    } catch (error) {
      remove.disabled = false;
      remove.textContent = explain(error);
    }
  };
  item.append(element("span", "name", found.source), element("span", "kind", found.format), remove);
  return item;
}

// ---- key and health

function askForKey({ refused = false } = {}) {
  if ($("key-dialog").open) return;
  $("key-refused").hidden = !refused;
  $("key").value = sessionStorage.getItem(KEY) ?? "";
  $("key-dialog").showModal();
}

async function look() {
  let state = "down";
  let text = "not reachable";
  try {
    const health = await (await fetch("/health")).json();
    const failing = Object.entries(health.checks ?? {}).filter(([, check]) => check.status !== "ok");
    state = { ok: "ok", degraded: "degraded" }[health.status] ?? "down";
    text = failing.length ? `${health.status}: ${failing.map(([name]) => name).join(", ")}` : health.status;
  } catch {
    // Not reachable, as it says already.
  }
  $("health").dataset.state = state;
  if ($("health-text").textContent !== text) $("health-text").textContent = text;
}

// ---- wiring

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (asking) return asking.abort();
  const question = $("question").value.trim();
  if (question) ask(question);
});
$("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  const question = $("question").value.trim();
  if (question) ask(question);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("key-dialog").open) asking?.abort();
});
$("answer-text").addEventListener("click", (event) => {
  const target = event.target.closest?.(".ref");
  if (!target) return;
  event.preventDefault();
  const item = document.querySelector(target.hash);
  for (const other of document.querySelectorAll(".shown")) other.classList.remove("shown");
  item?.classList.add("shown");
  item?.scrollIntoView({ block: "nearest" });
  item?.focus({ preventScroll: true });
});
$("rating").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) rate(button.dataset.rating);
});

$("files").addEventListener("change", () => {
  for (const file of $("files").files) upload(file);
  $("files").value = "";
});
for (const name of ["dragenter", "dragover"]) {
  $("drop").addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) $("drop").addEventListener(name, () => $("drop").classList.remove("over"));
// A file that misses its place must not make the browser leave the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
$("drop").addEventListener("drop", (event) => {
  event.preventDefault();
  for (const file of event.dataTransfer.files) upload(file);
});
$("more").addEventListener("click", () => more());

$("key-button").addEventListener("click", () => askForKey());
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.submitter?.value !== "cancel") {
    const key = $("key").value.trim();
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
    refresh();
  }
  $("key-dialog").close();
});

$("documents-title").tabIndex = -1;
look();
setInterval(look, HEALTH_MS);
refresh();
$("question").focus();
