"""A look at a run as HTML, without a script: what comes from runs is text, whatever it says."""

from __future__ import annotations

import time
from html import escape
from typing import Any, Dict

from modelyard.runs import details
from modelyard.widgets.chart import draw
from modelyard.widgets.look import Look
from modelyard.wire.runs import RunInfo

_COLOURS = {
    "Completed": "#1a7f37",
    "Failed": "#cf222e",
    "Canceled": "#9a6700",
    "NotResponding": "#9a6700",
    "Running": "#0969da",
}
_STYLE = """<style>
.my-run{font:13px/1.45 system-ui,sans-serif;max-width:1060px}
.my-run table{border-collapse:collapse;font-size:12px} .my-run td,.my-run th{padding:2px 10px 2px 0;text-align:left;border:0}
.my-run pre{max-height:320px;overflow:auto;font-size:12px;margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
.my-charts{display:flex;flex-wrap:wrap;gap:8px} .my-run svg text{font:10px system-ui,sans-serif;fill:currentColor}
.my-run svg .my-title{font-size:11px;font-weight:600} .my-axis{stroke:currentColor;opacity:.3;fill:none}
.my-line{stroke:#0969da;fill:none;stroke-width:1.3} .my-dot{fill:#0969da}
.my-tabs>input{position:absolute;opacity:0} .my-tabs>label{display:inline-block;padding:2px 10px;cursor:pointer;opacity:.6}
.my-tabs>input:checked+label{opacity:1;border-bottom:2px solid #0969da} .my-tabs>input:focus+label{outline:1px dotted}
.my-tabs>div{display:none}
</style>"""

_MOST_VALUE = 120  # characters of one value


def head(look: Look, url: str, note: str = "") -> str:
    """Status, times, what went wrong, and where there is more. `note`: what keeps the view from being of now."""
    info = look.info
    colour = _COLOURS.get(info.status.value, "#57606a")
    status, reason = _text(info.status.value), _text(info.status_reason)
    title = f"<b>{_text(info.display_name)}</b> · {_text(info.experiment)}"
    lines = [f'{title} · <b style="color:{colour}">● {status}</b> {reason}', _timeline(info)]
    if info.error is not None:
        said = info.error.traceback or info.error.message
        lines.append(
            f"<div><b>{_text(info.error.line or info.error.message)}</b></div><pre>{_text(said)}</pre>"
        )
    lines += [f"<div>⚠ {_text(one)}</div>" for one in info.warnings]
    lines.append(f"<div>{_link(url)}<code>modelyard run show {_text(info.id)}</code></div>")
    if note:
        lines.append(f"<div><i>{_text(note)}</i></div>")
    return _boxed(_STYLE + "".join(lines))


def charts(look: Look) -> str:
    """The series of numbers as charts, everything else as a table of last values."""
    drawn = "".join(draw(one) for one in look.series)
    rows = "".join(
        f"<tr><th>{_text(name)}</th><td>{_text(_short(value))}</td></tr>"
        for name, value in look.values.items()
    )
    if not drawn and not rows:
        return ""
    return _boxed(f'<div class="my-charts">{drawn}</div>' + (f"<table>{rows}</table>" if rows else ""))


def log_parts(look: Look) -> Dict[str, str]:
    """The ends of the logs by name, the script's own first."""
    names = sorted(look.logs, key=lambda name: (not name.startswith("user_logs/"), name))
    return {name: _boxed(f"<pre>{_text(look.logs[name])}</pre>") for name in names}


def logs(look: Look, number: int) -> str:
    """The ends of the logs, a tab each. `number` sets this view apart from others on the page."""
    parts = log_parts(look)
    if not parts:
        return ""
    heads, rules, bodies = [], [], []
    for position, (name, part) in enumerate(parts.items()):
        tab = f"my-tab-{number}-{position}"
        checked = " checked" if position == 0 else ""
        heads.append(
            f'<input type="radio" name="my-tabs-{number}" id="{tab}"{checked}><label for="{tab}">{_text(name)}</label>'
        )
        rules.append(f"#{tab}:checked~#{tab}-log{{display:block}}")
        bodies.append(f'<div id="{tab}-log">{part}</div>')
    tabs = "".join([*heads, *bodies])
    return _boxed(f'<style>{"".join(rules)}</style><div class="my-tabs">{tabs}</div>')


def children(look: Look) -> str:
    """The runs below, a row each."""
    if not look.children:
        return ""
    rows = "".join(
        f"<tr><td>{_text(c.display_name)}</td><td>{_text(c.status.value)}</td><td>{_text(_took(c))}</td>"
        f"<td>{_text(_labels(c.tags))}</td></tr>"
        for c in look.children
    )
    more = look.info.child_count - len(look.children)
    note = f"<div>and {more} more</div>" if more > 0 else ""
    return _boxed(
        f"<table><tr><th>Child run</th><th>Status</th><th>Took</th><th>Tags</th></tr>{rows}</table>{note}"
    )


def _boxed(content: str) -> str:
    return f'<div class="my-run">{content}</div>'


def _text(value: Any) -> str:
    return escape(str(value))


def _timeline(info: RunInfo) -> str:
    """Created, started, ended, as bars of what took how long."""
    now = info.ended_at or time.time()
    waited = (info.started_at or now) - info.created_at
    parts = [f"created {_clock(info.created_at)}"]
    if info.started_at is not None:
        parts.append(f"waited {_seconds(waited)}")
        parts.append(f"{'took' if info.ended_at else 'runs since'} {_seconds(now - info.started_at)}")
    share = 100 * waited / max(now - info.created_at, 1e-9) if info.started_at is not None else 100.0
    bar = (
        '<div style="display:flex;height:5px;width:420px;max-width:100%;margin:3px 0">'
        f'<div style="width:{share:.1f}%;background:#8c959f"></div>'
        f'<div style="flex:1;background:{_COLOURS.get(info.status.value, "#57606a")}"></div></div>'
    )
    return f"<div>{_text(' · '.join(parts))}</div>{bar}"


def _link(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        return ""
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">Link to the run</a> · '


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _took(info: RunInfo) -> str:
    return details.duration(info) or ""


def _seconds(seconds: float) -> str:
    whole = int(max(0.0, seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def _labels(tags: Dict[str, str]) -> str:
    return ", ".join(f"{k}={v}" if v else k for k, v in tags.items())


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MOST_VALUE else text[:_MOST_VALUE] + "…"
