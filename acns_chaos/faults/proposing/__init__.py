"""From a live namespace to claims and experiments as files: what `acns-chaos init` proposes.

Nothing is changed: objects are read, flows are read from Hubble, and every flow that a file rests
on is tried once, as a client would.

- `asks`: flows that can be asked from here
- `roster`: who is there to ask and be asked, and what the policies say of it
- `in_use`: which of them Hubble has seen
- `effects`: what a mistake does to them
- `clients`: who sees it, and which flows are claimed
- `outline`: an experiment before it is a file
- `choosing`: for each policy and family of mistakes the one whose effect can be witnessed
- `trying`: each flow once
- `documents`: what a file holds
- `proposal`: all of these in order
- `folder`: the files
"""
