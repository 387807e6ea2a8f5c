"""The report's page: one style sheet, light and dark, and the frame around what is shown."""

from html import escape

STYLE = """
:root { color-scheme: light dark; --bg: #fcfcfb; --panel: #ffffff; --ink: #16202b; --soft: #5a6775; --rule: #dfe3e8;
  --grid: #eceff2; --line: #33475b; --up: #1f8a70; --down: #c2573a; --live: #3d6d9e; --snap: #8db4d9;
  --gap: #e0a020; --lost: #d11149; --good: #14694f; --good-bg: #e6f4ee; --bad: #a30d3a; --bad-bg: #fdeaf0; }
@media (prefers-color-scheme: dark) { :root { --bg: #10151b; --panel: #171e26; --ink: #e6ebf0; --soft: #97a5b3;
  --rule: #2b3540; --grid: #222b35; --line: #c3d0dd; --up: #37b594; --down: #e0785b; --live: #5b93cc; --snap: #2f5277;
  --gap: #d99a1c; --lost: #ff4d7d; --good: #6fd6b3; --good-bg: #12302a; --bad: #ff8fae; --bad-bg: #3a1520; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1136px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 1.05rem; font-weight: 600; margin: 0 0 14px; letter-spacing: .01em; }
h1 span { color: var(--soft); font-weight: 400; }
h2 { font-size: 1.15rem; margin: 40px 0 4px; }
p { margin: 6px 0 12px; max-width: 78ch; } .soft { color: var(--soft); }
.verdict { border-radius: 12px; padding: 20px 24px; background: var(--good-bg); border: 1px solid transparent; }
.verdict + p { margin-top: 18px; } .verdict.bad { background: var(--bad-bg); }
.verdict strong { display: block; font-size: 2rem; line-height: 1.2; letter-spacing: -.01em; color: var(--good); }
.verdict.bad strong { color: var(--bad); } .verdict ul { margin: 8px 0 0; padding-left: 20px; }
.sum { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: flex-end; margin: 14px 0 0; }
.sum div { font-variant-numeric: tabular-nums; } .sum b { display: block; font-size: 1.5rem; line-height: 1.15; }
.sum small { color: var(--soft); font-size: .84rem; }
.sum i { font-style: normal; font-size: 1.4rem; color: var(--soft); padding-bottom: 1.3rem; line-height: 1; }
.sum .then { border-left: 1px solid var(--rule); padding-left: 14px; }
.panel { background: var(--panel); border: 1px solid var(--rule); border-radius: 12px; padding: 16px; margin: 12px 0; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 10px; padding: 0; list-style: none;
  color: var(--soft); font-size: .85rem; }
.legend i { display: inline-block; width: 22px; height: 11px; border-radius: 2px; margin-right: 7px; }
.legend i.thin { height: 2px; vertical-align: middle; background: var(--line); }
i.live { background: var(--live); } i.up { background: var(--up); } i.down { background: var(--down); }
i.snapshot { background: repeating-linear-gradient(135deg, var(--live) 0 3px, var(--snap) 3px 6px); }
i.declared { background: var(--gap); } i.lost { background: var(--lost); }
svg { display: block; max-width: 100%; height: auto; } .narrow { display: none; }
@media (max-width: 860px) { .wide { display: none; } .narrow { display: block; } main { padding: 18px 12px 40px; }
  .panel { padding: 12px 8px; } .verdict { padding: 16px; } .verdict strong { font-size: 1.6rem; }
  .sum .then { border-left: 0; padding-left: 0; } .sum i { padding-bottom: 1.2rem; } }
svg text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg text.name { font-size: 13px; fill: var(--ink); } svg text.title { font-size: 12.5px; fill: var(--ink); }
svg text.event { fill: var(--ink); font-weight: 600; } svg line.grid { stroke: var(--grid); }
svg line.event { stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 3 3; }
svg rect.live { fill: var(--live); } svg rect.snapshot { fill: url(#hatch); } svg rect.declared { fill: var(--gap); }
svg rect.lost { fill: var(--lost); } svg rect.shade { opacity: .2; }
svg path.price { fill: none; stroke: var(--line); stroke-width: .9; stroke-linejoin: round; opacity: .7; }
svg .up { fill: var(--up); stroke: var(--up); } svg .down { fill: var(--down); stroke: var(--down); }
svg rect.candle { fill-opacity: .42; stroke-width: .8; } svg line.wick { stroke-width: 1.1; stroke-opacity: .8; }
svg rect.volume { stroke: none; fill-opacity: .8; } svg rect.candle.has-gap { stroke-dasharray: 3 2; fill-opacity: .2; }
svg rect.volume.has-gap { fill-opacity: .5; }
.tabs input { position: absolute; opacity: 0; pointer-events: none; }
.tabs nav { display: flex; flex-wrap: wrap; gap: 6px; margin: 12px 0; }
.tabs label { padding: 4px 11px; border: 1px solid var(--rule); border-radius: 999px; font-size: .84rem;
  cursor: pointer; background: var(--panel); color: var(--soft); }
.tabs section { display: none; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; font-size: .82rem; } th:first-child, td:first-child { text-align: left; }
td.word, th.word { text-align: left; } tr.all td { font-weight: 600; border-bottom: 0; }
td.good { color: var(--good); } td.bad { color: var(--bad); font-weight: 600; }
pre { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px; padding: 12px 14px;
  overflow-x: auto; font-size: .82rem; line-height: 1.45; margin: 6px 0 14px; }
footer { margin-top: 44px; padding-top: 14px; border-top: 1px solid var(--rule); color: var(--soft);
  font-size: .85rem; }
"""
_HATCH = (
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs><pattern id="hatch" width="6" '
    'height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" '
    'style="fill:var(--snap)"/><rect width="3" height="6" style="fill:var(--live)"/></pattern></defs></svg>'
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # the network is asked for nothing


def page(title: str, *parts: str) -> str:
    """A whole HTML document that asks the network for nothing."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
    )
    return f"{head}<body>{_HATCH}<main>{''.join(parts)}</main></body></html>\n"


def both(wide: str, narrow: str) -> str:
    """One chart drawn for two widths; the page shows the one that fits, so that its text keeps its size."""
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def tabs(name: str, sections: list[tuple[str, str]], *, chosen: int = 0) -> str:
    """Sections of which one is shown, first the `chosen`, then whichever label is clicked; no script."""
    shown = [f"#{name}{n}:checked ~ .s{n} {{ display: block; }}" for n in range(len(sections))]
    picked = [
        f"#{name}{n}:checked ~ nav label[for={name}{n}] {{ color: var(--bg); background: var(--ink); }} "
        f"#{name}{n}:focus-visible ~ nav label[for={name}{n}] {{ outline: 2px solid var(--live); }}"
        for n in range(len(sections))
    ]
    inputs = [
        f'<input type="radio" name="{name}" id="{name}{n}"{" checked" if n == chosen else ""}>'
        for n in range(len(sections))
    ]
    labels = [f'<label for="{name}{n}">{escape(title)}</label>' for n, (title, _) in enumerate(sections)]
    bodies = [f'<section class="s{n}">{body}</section>' for n, (_, body) in enumerate(sections)]
    rules = f"<style>{' '.join(shown + picked)}</style>"
    return f'{rules}<div class="tabs">{"".join(inputs)}<nav>{"".join(labels)}</nav>{"".join(bodies)}</div>'


def legend(*entries: tuple[str, str]) -> str:
    """What the colours mean: CSS class and words."""
    return f'<ul class="legend">{"".join(f"<li><i class={c!r}></i>{escape(words)}</li>" for c, words in entries)}</ul>'


def html_table(head: list[str], rows: list[list[str]], *, words: int = 1, has_total: bool = False) -> str:
    """A table whose first `words` columns are text and the others numbers; a check mark or cross is coloured."""

    def cell(content: str, column: int) -> str:
        mark = {"✓": "good", "✗": "bad"}.get(content[-1:], "")
        return f'<td class="{"word" if column < words else ""} {mark}">{escape(content)}</td>'

    heads = "".join(f'<th class="{"word" if n < words else ""}">{escape(title)}</th>' for n, title in enumerate(head))
    lines = ["".join(cell(content, column) for column, content in enumerate(row)) for row in rows]
    last = len(lines) - 1
    body = "".join(f"<tr{_total(has_total and n == last)}>{cells}</tr>" for n, cells in enumerate(lines))
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _total(is_total: bool) -> str:
    return ' class="all"' if is_total else ""
