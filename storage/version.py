"""Which Tonok this is. The project runs from its folders and is not installed: there is no metadata to ask."""

VERSION = "0.1.0"
