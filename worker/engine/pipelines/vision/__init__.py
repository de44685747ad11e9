"""Tasks on images and videos.

base            an image and its image processor
decoding        an image's bytes -> pixels, within limits
frames          a video's bytes -> frames, within limits
pictures        PNG files in outputs
suppression     of boxes that overlap, the best
others          one task each
"""
