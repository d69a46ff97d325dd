"""Packages for Dify: ``.difypkg`` of a plugin, with its wheels where there is no network, signed; ``.difybndl`` of all.

The same content gives the same bytes: paths are sorted, times and permissions fixed, and nothing is
compressed, so that no version of zlib has a say.
"""
