#!jinja|yaml
# Bring up a DHCP pair in the guide's order, by readiness and not by the clock: the primary until
# it listens, then the secondary, then both until they are normal.
#
#   salt-run state.orchestrate ipalias.orch.dhcp_pair \
#       pillar='{"dhcp_pair": {"primary": "dhcp1", "secondary": "dhcp2", "limit": 120}}'
#
# `primary` and `secondary` are minion ids, `limit` (seconds) is for each of the waits. Progress:
# `salt-run state.event 'ipalias/dhcp/pair' pretty=True`, run beside it.
{%- set pair = salt["pillar.get"]("dhcp_pair", {}) %}
{%- set limit = pair.get("limit", 120) %}
{%- if not pair.get("primary") or not pair.get("secondary") %}
ipalias-dhcp-pair-named:
  test.fail_without_changes:
    - name: "dhcp_pair: give minion ids as `primary` and `secondary`"
{%- else %}
{%- macro told(step, what, after) %}
ipalias-dhcp-pair-{{ step }}-told:
  salt.runner:
    - name: event.send
    - tag: ipalias/dhcp/pair
    - data: {{ {"step": step, "told": what} | json }}
    - require:
        - salt: {{ after }}
{%- endmacro %}
# A member sees what Kea its peer has only when that one runs: too late for the first of the two.
ipalias-dhcp-pair-releases:
  salt.runner:
    - name: ipalias_dhcp.releases
    - primary: {{ pair["primary"] | json }}
    - secondary: {{ pair["secondary"] | json }}

ipalias-dhcp-pair-primary:
  salt.state:
    - tgt: [{{ pair["primary"] | json }}]
    - tgt_type: list
    - expect_minions: true
    - sls: ipalias.dhcp
    - require:
        - salt: ipalias-dhcp-pair-releases

ipalias-dhcp-pair-primary-listens:
  salt.function:
    - name: ipalias_dhcp.wait
    - tgt: [{{ pair["primary"] | json }}]
    - tgt_type: list
    - kwarg: {state: listening, limit: {{ limit | json }}}
    - require:
        - salt: ipalias-dhcp-pair-primary
{{ told("primary", pair["primary"] ~ " listens", "ipalias-dhcp-pair-primary-listens") }}

ipalias-dhcp-pair-secondary:
  salt.state:
    - tgt: [{{ pair["secondary"] | json }}]
    - tgt_type: list
    - expect_minions: true
    - sls: ipalias.dhcp
    - require:
        - salt: ipalias-dhcp-pair-primary-listens

ipalias-dhcp-pair-secondary-listens:
  salt.function:
    - name: ipalias_dhcp.wait
    - tgt: [{{ pair["secondary"] | json }}]
    - tgt_type: list
    - kwarg: {state: listening, limit: {{ limit | json }}}
    - require:
        - salt: ipalias-dhcp-pair-secondary
{{ told("secondary", pair["secondary"] ~ " listens", "ipalias-dhcp-pair-secondary-listens") }}

ipalias-dhcp-pair-normal:
  salt.function:
    - name: ipalias_dhcp.wait
    - tgt: {{ [pair["primary"], pair["secondary"]] | json }}
    - tgt_type: list
    - kwarg: {state: normal, limit: {{ limit | json }}}
    - require:
        - salt: ipalias-dhcp-pair-secondary-listens
{{ told("normal", "both are normal", "ipalias-dhcp-pair-normal") }}
{%- endif %}
