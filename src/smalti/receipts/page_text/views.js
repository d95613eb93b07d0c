// What the text is coloured by. Each view gives a strength from 0 to 1 to a token, and says what it shows.

// Colours are no stronger than this, so that letters can be read on them.
const STRONGEST = 45;

const VIEWS = {
  text: {
    label: "Text",
    caption: () => "The text as it was made. Dotted lines are below what was given, and not drawn.",
    strength: () => 0,
  },
  copy: {
    label: "Largest share",
    caption: (receipt) => `How much of each token is owed to one ${ofOne(receipt)}: the stronger, the more.`,
    strength: (receipt, token) => topShare(receipt, token),
    low: () => "0%",
    high: () => "100%",
  },
  entropy: {
    label: "Entropy",
    caption: () => "How open the choice of each token was, in bits: the stronger, the more.",
    strength: (receipt, token) => (drawn(token) ? token.entropy / mostEntropy(receipt) : 0),
    low: () => "0 bits",
    high: (receipt) => `${twoPlaces(mostEntropy(receipt))} bits`,
  },
  match: {
    label: "Verbatim",
    caption: (receipt) =>
      `Lines are below spans of ${receipt.shortest} characters and more that stand in the corpus, character for character. A similarity, which says nothing of weight.`,
    strength: () => 0,
  },
};

const mostEntropy = (receipt) =>
  (receipt.mostEntropy ??= Math.max(...receipt.tokens.filter(drawn).map(({ entropy }) => entropy), Number.MIN_VALUE));

// The tokens of a span: [first, last].
function tokensOf(receipt, span) {
  let first = receipt.tokens.findIndex(({ end }) => end > span.begin);
  let last = first;
  while (last + 1 < receipt.tokens.length && receipt.tokens[last + 1].begin < span.end) last += 1;
  return [first, last];
}

const spansAt = (receipt, token) =>
  receipt.match.spans.filter(({ begin, end }) => begin < receipt.tokens[token].end && receipt.tokens[token].begin < end);

// One element for each token; where tokens share a character, it is the first one's.
function buildTokens(receipt) {
  let reached = 0;
  const nodes = receipt.tokens.map((token, k) => {
    const from = Math.max(reached, token.begin);
    const text = receipt.characters.slice(from, token.end).join("");
    reached = Math.max(reached, token.end);
    const node = make("span", { class: "token", role: "option", id: `token-${k}`, "aria-selected": "false", "data-token": k }, text);
    node.classList.toggle("given", token.origin === "given");
    node.classList.toggle("line", text.startsWith("\n"));
    node.setAttribute("aria-label", `${spokenSign(token.token)}${drawn(token) ? "" : `, ${ORIGINS[token.origin].short}`}`);
    return node;
  });
  el("tokens").replaceChildren(...nodes);
  // Texts with columns, such as code, are set so that columns stay straight.
  el("tokens").classList.toggle("fixed", /\n {2,}|\t| {3,}/.test(receipt.text));
  receipt.nodes = nodes;
}

// What the text was written after, and is no part of it: the end of it where it is long.
const NEAR = 80;
function showAfter({ after }) {
  const letters = [...after];
  const near = `${letters.length > NEAR ? "…" : ""}${letters.slice(-NEAR).join("")}`;
  el("after").hidden = !after;
  el("after").replaceChildren("The text stands after ", make("bdi", { class: "excerpt" }, near.replaceAll("\n", "↵")), ", which is no part of it.");
}

const ORIGINS = {
  given: { short: "given", long: "This token was given before the run: it was not drawn, and has no sources." },
  noise: {
    short: "left of the noise",
    long: "This token is left of the noise that the run began with: it was never drawn anew, and has no sources.",
  },
};

const spokenSign = (text) =>
  ({ " ": "space", "\n": "line end", "\t": "tab" })[text] ?? (/^\s+$/.test(text) ? `${[...text].length} blanks` : text);

// Colours, lines and veils of all tokens.
function paintTokens(receipt, view, marked) {
  const { strength } = VIEWS[view];
  const inside = new Set();
  const first = new Set();
  if (view === "match") {
    for (const span of receipt.match.spans) {
      const [from, to] = tokensOf(receipt, span);
      first.add(from);
      for (let k = from; k <= to; k++) inside.add(k);
    }
  }
  receipt.nodes.forEach((node, k) => {
    node.style.setProperty("--strength", `${(STRONGEST * strength(receipt, receipt.tokens[k])).toFixed(1)}%`);
    node.classList.toggle("inside", inside.has(k));
    node.classList.toggle("first", first.has(k));
    node.classList.toggle("aside", marked !== null && !marked[k]);
  });
}
