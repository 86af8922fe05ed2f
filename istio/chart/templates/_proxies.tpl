{{/* The patch that takes the header off. */}}
{{- define "serin.earlyRemoval" -}}
{{- $root := index . 0 -}}
- applyTo: NETWORK_FILTER
  match:
    context: {{ index . 1 }}
    listener:
      filterChain:
        filter:
          name: envoy.filters.network.http_connection_manager
  patch:
    operation: MERGE
    value:
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        early_header_mutation_extensions:
        - name: envoy.http.early_header_mutation.header_mutation
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation
            mutations:
            {{- range (fromJsonArray (include "serin.headers" $root)) }}
            - remove: {{ . }}
            {{- end }}
{{- end }}

{{/* What a TrafficExtension has below `wasm`, and a WasmPlugin at its top. */}}
{{- define "serin.plugin.module" -}}
# One of oci:// and https://; never file://, with which every write to this object rebuilds all VMs.
url: {{ required "plugin.url: say where the filter comes from (oci:// or https://)" .Values.plugin.url }}
# The digest of the image (oci) or of the file (https). With it, and pulled only when absent, a registry that is
# down does not matter to a running proxy.
sha256: {{ required "plugin.sha256: say the module's digest, or another one may come" .Values.plugin.sha256 | quote }}
imagePullPolicy: IfNotPresent
{{- with .Values.plugin.imagePullSecret }}
imagePullSecret: {{ . }}
{{- end }}
# Not FAIL_RELOAD: when the image cannot be pulled, istio-agent lets traffic through for FAIL_OPEN alone and answers
# 403 to everything for the other two. What is bypassed goes to stable, see envoyfilter-early-removal.yaml.
failStrategy: FAIL_OPEN
# The root context's name in the module.
pluginName: serin
type: HTTP
{{- if eq .Values.plugin.policy "initial" }}
pluginConfig:
  # The policy document (fields: crates/split/src/policy.rs). Salts are text: numbers travel as doubles here, exact
  # only up to 2^53. Raise `generation` with every change by hand; below the highest pair it has seen the filter goes on
  # with the newest. With `serin run --istio-plugin` the controller writes all of this.
  schema: 1
  incarnation: 1
  generation: 1
  # Each sidecar asks the controller every second whether this policy still stands; no answer for 5 s: stable.
  # The cluster is what istiod calls port 7070 of the service `{{ include "serin.name" . }}` in the namespace `{{ .Release.Namespace }}`.
  lease:
    cluster: outbound|7070||{{ include "serin.host" . }}
    authority: {{ include "serin.host" . }}
    path: /v1/lease
    interval_ms: 1000
    ttl_ms: 5000
  rollouts:
  {{- range .Values.services }}
  - name: {{ .name }}
    epoch: 1
    # Every name by which callers know the service, without port.
    match:
      authority:
      - {{ .name }}
      - {{ .name }}.{{ .namespace }}
      - {{ .name }}.{{ .namespace }}.svc
      - {{ include "serin.service.host" (list $ .) }}
    role: decide
    header: {{ default $.Values.mesh.header .header }}
    version_header: x-serin-version
    on_lease_expired: stable
    assignment:
      mode: sticky
      salt: {{ .name }}/1
      keys:
      - header: {{ default "x-user-id" .userHeader }}
      no_key: random
    arms:
      stable:
        version: {{ required (printf "services %s: versions.stable, since plugin.policy is initial" .name) (.versions).stable }}
      canary:
        version: {{ required (printf "services %s: versions.canary, since plugin.policy is initial" .name) (.versions).canary }}
        weight_ppm: 0
  {{- end }}
{{- end }}
{{- end }}

{{/* What both kinds say of where the filter runs. */}}
{{- define "serin.plugin.where" -}}
selector:
  matchLabels:
    {{- toYaml .Values.plugin.selector | nindent 4 }}
# After authentication and authorisation: what they refuse is never given an arm.
phase: STATS
priority: {{ .Values.plugin.priority }}
# Without a mode the filter runs in the caller's sidecar and again in the model's, and two would decide. CLIENT is the
# caller's side, where the VirtualService is applied; gateways count as CLIENT.
match:
- mode: CLIENT
{{- end }}
