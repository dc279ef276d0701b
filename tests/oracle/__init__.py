"""An independent simulator for tiny chips: processes of parts, and no task table.

It runs a placement with one SimPy process per part and one per piece of work that wants parts, word
line by word line and row by row. It shares the descriptions and the placement with the product, and
nothing of how that turns a placement into times.
"""
