"""Kinds of inputs: each checks, measures, describes and shows an input; no other code depends on its kind.

Input
├── Text             one text
│   ├── TextOrPair   or two texts that are read together
│   └── TextOrChat   or the messages of a chat
├── Record           several named texts, for example a query and its documents
│   └── MediaRecord  some of them are media, for example a picture and a question
├── Media            Image, Audio, Video
└── Json             any JSON value, for a custom pipeline
"""

from jobs.tasks.inputs.base import Input, InputLimits
from jobs.tasks.inputs.json_value import Json
from jobs.tasks.inputs.media import Audio, Image, Media, Video
from jobs.tasks.inputs.media_record import MediaRecord
from jobs.tasks.inputs.record import Record
from jobs.tasks.inputs.text import Text
from jobs.tasks.inputs.text_or_chat import TextOrChat
from jobs.tasks.inputs.text_or_pair import TextOrPair

__all__ = [
    "Audio",
    "Image",
    "Input",
    "InputLimits",
    "Json",
    "Media",
    "MediaRecord",
    "Record",
    "Text",
    "TextOrChat",
    "TextOrPair",
    "Video",
]
