"""The page's style sheet: system fonts, two colour schemes, no network."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --ink: #1b2430; --muted: #5b6776; --line: #d9dee5;
  --ok: #14713d; --ok-soft: #e1f3e8; --bad: #b3261e; --bad-soft: #fbe6e4; --accent: #1f5fbf;
  --s1: #1f5fbf; --s2: #d2691e; --s3: #2a8c6a; --s4: #8a5bb8; --s5: #a8871a; --s6: #c2436e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2029; --ink: #e4e9f0; --muted: #9aa7b7; --line: #323c4a;
    --ok: #63cf92; --ok-soft: #173425; --bad: #ff8a80; --bad-soft: #40211f; --accent: #7fb0ff;
    --s1: #7fb0ff; --s2: #f0a066; --s3: #5fcaa4; --s4: #c3a0ea; --s5: #dcc15c; --s6: #f18bab;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.55rem; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 0 0 .25rem; }
h3 { font-size: .95rem; margin: 1.6rem 0 .5rem; }
p { margin: .35rem 0 .7rem; max-width: 75ch; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
.sub { color: var(--muted); font-size: .9rem; max-width: none; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.25rem 1.4rem; margin: 1.1rem 0; scroll-margin-top: 3.2rem;
}
.top { display: flex; gap: 1.2rem; align-items: center; justify-content: space-between;
  flex-wrap: wrap; }
.badge { font-weight: 700; letter-spacing: .04em; padding: .4rem .95rem; border-radius: 8px; }
.badge.ok { color: var(--ok); background: var(--ok-soft); }
.badge.bad { color: var(--bad); background: var(--bad-soft); }
nav { position: sticky; top: 0; z-index: 1; background: var(--page);
  border-bottom: 1px solid var(--line); }
nav div { max-width: 1180px; margin: 0 auto; padding: .55rem 1.25rem; display: flex;
  gap: 1.3rem; overflow-x: auto; white-space: nowrap; font-size: .9rem; }
.mark { font-weight: 600; white-space: nowrap; }
.mark.ok { color: var(--ok); } .mark.bad { color: var(--bad); }
.mark.none { color: var(--muted); font-weight: 400; }
.facts { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: .7rem 0 0; padding: 0; }
.facts div { min-width: 6rem; }
.facts dt { color: var(--muted); font-size: .78rem; }
.facts dd { margin: 0; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: left; padding: .38rem .6rem .38rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
th { color: var(--muted); font-weight: 600; font-size: .8rem; vertical-align: bottom; }
td:first-child { min-width: 9.5rem; }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.num { padding-left: .3rem; }
th.num { white-space: normal; }
td.strong, tr.strong { font-weight: 650; }
.strong .ci { font-weight: 400; }
.ci { display: block; color: var(--muted); font-size: .74rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr));
  gap: 1.2rem 1.6rem; align-items: start; margin-top: 1rem; }
figure { margin: 0; max-width: 540px; }
figcaption { font-size: .86rem; font-weight: 600; margin-bottom: .2rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font-family: inherit !important; }
details { margin: .8rem 0 0; }
summary { cursor: pointer; color: var(--accent); font-size: .9rem; }
ul { margin: .4rem 0; padding-left: 1.2rem; max-width: 80ch; }
li { margin: .25rem 0; }
code { font: .86em ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; }
.note { border-left: 3px solid var(--line); padding-left: .8rem; color: var(--muted); }
@media print {
  nav { display: none; } section { break-inside: avoid-page; border: 0; }
}
"""
