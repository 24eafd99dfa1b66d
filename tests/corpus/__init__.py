"""Documents by the specifications of their formats, each with the picture that it shows.

Nothing here imports Pellucid: neither its writers, whose mistakes its readers may share, nor its flattening.
`model` says what a document is, `psd` and `ora` write it byte by byte, `render` draws it, `features` lists
what is varied, alone and in pairs, `refusals` what layers cannot show; `images` has still images.
"""
