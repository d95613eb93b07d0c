// Reading the receipts of texts in the page. Characters are counted by code point, as the receipt does.

function readReceipt(seed) {
  const record = parse(SCRIPTS[SEEDS.indexOf(seed)].textContent);
  const perToken = BigInt(record.units_per_token);
  const characters = [...record.text];
  return { ...record, seed, characters, perToken, whole: BigInt(record.tokens.length) * perToken };
}

const shareOf = (receipt, units) => Number(units) / Number(receipt.whole);
const shareOfToken = (receipt, units) => Number(units) / Number(receipt.perToken);
const drawn = (token) => token.origin === "drawn";
const topDocument = (token) => (drawn(token) && token.documents.length ? token.documents[0][0] : -1);
// The largest share of one document; where there is only one, of one place in it.
const ofOne = (receipt) => (receipt.run.corpus_documents === 1 ? "place" : "document");
function topShare(receipt, token) {
  if (!drawn(token)) return 0;
  if (ofOne(receipt) === "place") return token.sources.length ? token.sources[0][3] : 0;
  return token.documents.length ? shareOfToken(receipt, token.documents[0][1]) : 0;
}
const groupOf = (document, column) => document.metadata[column] ?? null;

// What a token owes to no document, in units.
const noUnits = (token) => BigInt(token.no_document.noise) + BigInt(token.no_document.prior);

// Signs for what cannot be seen.
const SIGNS = { " ": "␣", "\n": "↵", "\t": "⇥" };
const visible = (text) => (/^[ \n\t]+$/.test(text) ? [...text].map((sign) => SIGNS[sign]).join("") : text);
const quoted = (text) => `“${visible(text)}”`;

// The characters of a document around [begin, end), with as many on both sides as the receipt holds, at most `around`.
function contextOf(receipt, document, begin, end, around) {
  const excerpt = receipt.excerpts.find((one) => {
    one.characters ??= [...one.text];
    return one.document === document && one.begin <= begin && end <= one.begin + one.characters.length;
  });
  const cut = (from, to) =>
    excerpt.characters
      .slice(Math.max(0, from - excerpt.begin), Math.max(0, to - excerpt.begin))
      .join("")
      .replaceAll("\n", "↵");
  const length = receipt.documents[document].characters;
  const [first, last] = [Math.max(0, begin - around), Math.min(length, end + around)];
  return make(
    "span",
    { class: "context", dir: "auto" },
    `${first > 0 ? "…" : ""}${cut(first, begin)}`,
    make("mark", {}, cut(begin, end)),
    `${cut(end, last)}${last < length ? "…" : ""}`,
  );
}

function documentName(document) {
  return make("span", { class: "about-place" }, nameOf(document), make("code", { title: document.id }, shortId(document)));
}
