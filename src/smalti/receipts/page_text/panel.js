// The label beside the text: what the chosen token is owed to, or, in the verbatim view, which spans it is part of.

const AROUND_SOURCE = 40;
const AROUND_SPAN = 24;

function showToken(state) {
  const { receipt, index, view } = state;
  const token = receipt.tokens[index];
  el("place").textContent = `Token ${index}: ${quoted(token.token)}`;
  const where = token.end - token.begin === 1 ? `Character ${token.begin}` : `Characters ${token.begin} to ${token.end - 1}`;
  el("place-text").textContent = drawn(token) ? `${where}, drawn at step ${token.step}` : `${where}, ${ORIGINS[token.origin].short}`;
  const match = view === "match";
  el("weight-part").hidden = match;
  el("match-part").hidden = !match;
  if (match) showSpansHere(receipt, index);
  else showWeight(receipt, token);
}

function fact(term, value) {
  return make("div", {}, make("dt", {}, term), make("dd", {}, value));
}

function showWeight(receipt, token) {
  el("undrawn").hidden = drawn(token);
  el("drawn").hidden = !drawn(token);
  if (!drawn(token)) {
    el("undrawn").textContent = ORIGINS[token.origin].long;
    return;
  }
  el("facts").replaceChildren(
    fact("Chance when drawn", percent(token.probability)),
    fact(`Largest share of a ${ofOne(receipt)}`, percent(topShare(receipt, token))),
    fact("Entropy", `${twoPlaces(token.entropy)} bits`),
    fact("Effective sources", twoPlaces(token.effective_sources)),
  );
  el("sources").replaceChildren(
    ...token.sources.map(([document, begin, end, share]) =>
      make(
        "li",
        {},
        make("strong", { class: "figure" }, percent(share)),
        make(
          "span",
          { class: "about-place" },
          nameOf(receipt.documents[document]),
          make("span", { class: "where" }, `character ${begin}`),
          make("code", { title: receipt.documents[document].id }, shortId(receipt.documents[document])),
        ),
        contextOf(receipt, document, begin, end, AROUND_SOURCE),
      ),
    ),
  );
  el("left-out").textContent = `This list leaves out ${percent(token.left_out)} of the weight.`;
  const rows = token.documents.map(([document, units]) => bar(nameOf(receipt.documents[document]), shareOfToken(receipt, units)));
  const others = [
    ["all other documents", token.rest_units],
    ["no document: noise", token.no_document.noise],
    ["no document: prior", token.no_document.prior],
  ];
  for (const [name, units] of others) {
    if (BigInt(units) > 0n) rows.push(bar(make("span", { class: "name" }, name), shareOfToken(receipt, units)));
  }
  el("bars").replaceChildren(...rows);
  el("likeliest").replaceChildren(
    ...token.likeliest.map(([text, chance]) => {
      const row = bar(make("bdi", { class: "name" }, visible(text)), chance);
      if (text === token.token) {
        row.classList.add("drawn-one");
        row.setAttribute("aria-current", "true");
      }
      return row;
    }),
  );
  const listed = token.likeliest.reduce((sum, [, chance]) => sum + chance, 0);
  const { noise } = receipt.run.settings.machine;
  // Where there are no masks, the chance is not that of the token alone.
  const stays = ["uniform", "structured"].includes(noise)
    ? ` Under ${noise} noise a step draws what the token is next, which may be what it was: that is the chance when drawn.`
    : "";
  el("likeliest-note").textContent =
    `The likeliest tokens at that step, ${percent(Math.min(1, listed))} together, before temperature and truncation; this one had ${percent(token.posterior)}.${stays}`;
}

function showSpansHere(receipt, index) {
  const spans = spansAt(receipt, index);
  el("match-text").textContent = `Match: ${receipt.match.text}.`;
  el("spans-here").replaceChildren(
    ...spans.map((span) =>
      make(
        "li",
        {},
        make("strong", {}, `${count(span.end - span.begin, "character")} from ${span.begin} on, ${timesText(span)}`),
        ...span.places.map(([document, offset]) =>
          make(
            "div",
            {},
            documentName(receipt.documents[document]),
            contextOf(receipt, document, offset, offset + span.end - span.begin, AROUND_SPAN),
          ),
        ),
        span.count > span.places.length ? make("p", { class: "note" }, `and ${count(span.count - span.places.length, "more place")}`) : null,
      ),
    ),
  );
  if (!spans.length) {
    el("spans-here").replaceChildren(make("li", {}, `No span of ${receipt.shortest} characters or more holds this token.`));
  }
}

const timesText = (span) => `${count(span.count, "time")} in ${count(span.documents, "document")}`;

// What a screen reader is told of a chosen token.
function spokenToken(state) {
  const { receipt, index, view } = state;
  const token = receipt.tokens[index];
  const name = `${spokenSign(token.token)}.`;
  if (view === "match") {
    const [span] = spansAt(receipt, index);
    return span ? `${name} In a span of ${count(span.end - span.begin, "character")}, ${timesText(span)}.` : `${name} In no span.`;
  }
  if (!drawn(token)) return `${name} ${ORIGINS[token.origin].long}`;
  const best = token.documents.slice(0, 3).map(([document, units]) => `${named(receipt.documents[document].name)}, ${percent(shareOfToken(receipt, units))}`);
  return `${name} Most weight: ${best.join("; ") || "no document"}.`;
}
