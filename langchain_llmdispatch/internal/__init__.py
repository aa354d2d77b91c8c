"""Small helpers without a subject of their own: lazy exports, what a forked child renews, primitives of HTML.

Owns: what several folders need and a user never imports.
Must not know: everything above.
"""
