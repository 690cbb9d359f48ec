# Every alias of ours taken away, from the pillar or added by hand, and nothing else.
ipalias-alias-cleaned:
  ipalias.cleaned:
    - name: ipalias
    - pillar: ipalias
