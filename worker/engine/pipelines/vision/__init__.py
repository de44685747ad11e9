"""Tasks on images and videos.

base            an image and its image processor
decoding        an image's bytes -> pixels, within limits
others          one task each, or a few similar tasks
"""
