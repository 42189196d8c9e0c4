"""From a live namespace to claims and experiments as files: what `acns-chaos init` proposes.

Nothing is changed: objects are read, flows are read from Hubble, and every flow that a file rests
on is tried once, as a client would.

- `asks`: which flows can be asked from here, and what the policies say of each
- `in_use`: which of them Hubble has seen
- `effects`: what a mistake does to them
- `choosing`: for each policy and family of mistakes the one whose effect can be witnessed
- `trying`: each flow once
- `documents`: what a file holds
- `proposal`: all of these in order
- `folder`: the files
"""
