"""The chaos run: seeded calls in every colour over deployments of every vendor that flap in every way.

`make chaos` runs it at full length, `tests/end_to_end/test_chaos.py` a tenth of it. Everything that is drawn
follows from the seed and the number of the call, not from the order in which threads are scheduled: the same
seed sends the same calls, and answers the same requests in the same way.

- `vendors`: how the server responds, and what it gave to which request.
- `ledger`: which attempt each request belongs to; a middleware.
- `calls`: calls in four colours, cancelled and abandoned ones too, and how they ended.
- `scenario`: one model, its settings, and rounds of calls between which time passes.
- `promises`: what must hold at the server and in the books.
- `report`: the table.
"""
