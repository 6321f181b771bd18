"""Reports as pages: `page.py` fills `page.html.jinja`, `plots.py` draws."""
