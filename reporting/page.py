"""A report as one HTML file that fetches nothing, to be opened anywhere."""

import base64
from html import escape
from typing import Final

STYLE: Final = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1360px;padding:0 1rem;
color:#1f2937;background:#fff}
h1{margin-bottom:0} table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.2rem .8rem .2rem 0;text-align:left;border-bottom:1px solid #e5e7eb}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
.met{color:#047857}.missed{color:#b91c1c;font-weight:700}.undecided,.unmeasured{color:#b45309}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(520px,1fr));gap:1rem}
.small.charts{grid-template-columns:repeat(auto-fill,minmax(300px,1fr))}
figure{margin:0}figcaption{font-weight:600}figcaption span{font-weight:400;margin-right:.6rem}
svg{width:100%;height:auto}polyline{fill:none}.curve{stroke-width:1.6}
.fitted{stroke:#111827;stroke-dasharray:6 4}.goal{stroke:#9ca3af;stroke-dasharray:2 3}
.event{stroke:#f87171;stroke-width:1}.grid{stroke:#e5e7eb}
text{font:12px system-ui,sans-serif;fill:#6b7280}.left{text-anchor:end}.below{text-anchor:middle}
.frames img{width:150px;height:150px;border-radius:6px}.frames div{display:inline-block;
margin-right:.6rem;text-align:center;color:#6b7280}
"""


def document(title: str, body: str, style: str = "") -> str:
    """The whole page; `style` is added to what all reports share."""
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style>\n{body}\n</html>\n"
    )


def embedded(jpeg: bytes, said: str = "") -> str:
    """A picture inside the page; `said`: what it shows."""
    data = base64.b64encode(jpeg).decode()
    return f'<img alt="{escape(said)}" src="data:image/jpeg;base64,{data}">'
