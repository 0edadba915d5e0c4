"""Inline SVG as text: small pure functions, no scripts, colours by CSS class so that dark mode is the page's matter.

Every text is escaped here. Series are told apart by colour (Okabe & Ito 2008, safe for the colour-blind) and by dash
and shape as well; each picture carries a title and a description for screen readers. All pictures are as wide as a
phone, so that their letters are readable there and stay in proportion elsewhere.
"""

from clickweave.evaluation.page.charts.curves import lines, steps
from clickweave.evaluation.page.charts.forest import forest
from clickweave.evaluation.page.charts.heat import heat
from clickweave.evaluation.page.charts.path import path
from clickweave.evaluation.page.charts.shares import bars, scatter

__all__ = ["bars", "forest", "heat", "lines", "path", "scatter", "steps"]
