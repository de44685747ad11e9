"""A corpus of hostile and unusual media, always the same: `corpus.images()` and `corpus.sounds()`.

sample      what a file of the corpus is, and what must happen to it
pictures    whole pictures of a digit, in every form that must be answered
png         PNG files that no library would write
bombs       headers that claim too much, and pictures that claim nothing
costly      images of few pixels that would take minutes or gigabytes
recordings  whole sounds, in every form that must be answered
wav         sounds that no library would write
damage      truncations, changed bits, polyglots, other formats
"""
