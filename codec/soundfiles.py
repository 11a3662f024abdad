"""Which files are sounds: their suffixes, and how they start. Imports nothing that takes time."""

FORMATS = {  # suffix -> libsndfile's format and subtype
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".oga": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".aiff": ("AIFF", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
    ".au": ("AU", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
}
START = 12  # bytes that tell
_STARTS = b"fLaC", b"OggS", b"ID3", b".snd", b"caff", b"riff\x2e\x91\xcf\x11", b"RF64"
_FORMS = b"WAVE", b"AIFF", b"AIFC", b"8SVX", b"16SV"  # inside of RIFF and FORM files


def is_sound(start: bytes, suffix: str = "") -> bool:
    """Whether a file is one to read as a sound, by its first START bytes, or else by its name.

    A file that starts like neither a sound nor anything known, but is called .wav, is a damaged
    sound rather than a damaged picture.
    """
    if start.startswith(_STARTS):
        return True
    if start[:4] in (b"RIFF", b"RIFX", b"FORM"):
        return start[8:12] in _FORMS
    if len(start) > 1 and start[0] == 0xFF and start[1] >= 0xE0:  # a frame of MPEG, without a tag
        return start[1] & 0x06 != 0  # which is in a layer
    return suffix.lower() in FORMATS
