{{/* Is this a mesh of Istio's? */}}
{{- define "serin.istio" -}}
{{- if eq (toString .Values.mesh.istio) "auto" }}
{{- .Capabilities.APIVersions.Has "security.istio.io/v1/AuthorizationPolicy" }}
{{- else }}{{ .Values.mesh.istio }}{{ end }}
{{- end }}

{{/* Does the controller ask the API server? */}}
{{- define "serin.asksKubernetes" }}
{{- $pods := contains "pods://" (join " " .Values.evidence.proxyMetrics) }}
{{- or (and .Values.plugin.enabled .Values.plugin.write) .Values.rollouts.enabled (gt (int .Values.replicas) 1) (not (empty .Values.workloads.namespaces)) $pods }}
{{- end }}

{{/* What `serin run` is started with. A test compares the names with what it knows. */}}
{{- define "serin.arguments" -}}
{{- include "serin.arguments.own" . }}
{{- with .Values.controller.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of these, what other values say. */}}
{{- define "serin.arguments.own" -}}
- --http=0.0.0.0:7070
- --ecds=0.0.0.0:7071
- --store=/var/lib/serin/serin.db
- --wasm={{ .Values.fastLane.wasm }}
{{- if and .Values.plugin.enabled .Values.plugin.write }}
{{- range .Values.plugin.namespaces }}
- --istio-plugin={{ . }}/{{ $.Values.plugin.name }}
{{- end }}
- --istio-lease={{ include "serin.host" . }}:7070
{{- end }}
{{- if gt (int .Values.replicas) 1 }}
- --kubernetes-lease={{ .Release.Namespace }}/{{ include "serin.name" . }}
- --kubernetes-address=http://$(POD_NAME).{{ include "serin.name" . }}-replicas.{{ .Release.Namespace }}.svc.{{ .Values.mesh.clusterDomain }}:7070
- --allowed-host=*.{{ include "serin.name" . }}-replicas.{{ .Release.Namespace }}.svc.{{ .Values.mesh.clusterDomain }}
{{- end }}
{{- if .Values.rollouts.enabled }}
- --kubernetes-rollouts={{ default "all" (join "," .Values.rollouts.namespaces) }}
{{- end }}
{{- range .Values.workloads.namespaces }}
- --kubernetes-workloads={{ . }}
{{- end }}
{{- with .Values.evidence.prometheus.url }}
- --prometheus={{ . }}
{{- end }}
{{- with .Values.evidence.prometheus.match }}
- --prometheus-match={{ . }}
{{- end }}
{{- with .Values.evidence.prometheus.tenant }}
- --prometheus-tenant={{ . }}
{{- end }}
{{- with .Values.evidence.prometheus.tokenFile }}
- --prometheus-token-file={{ . }}
{{- end }}
{{- with .Values.evidence.prometheus.caFile }}
- --prometheus-ca={{ . }}
{{- end }}
{{- range .Values.evidence.proxyMetrics }}
- --proxy-metrics={{ . }}
{{- end }}
{{- range .Values.controller.allowedHosts }}
- --allowed-host={{ . }}
{{- end }}
{{- range .Values.controller.sourceHosts }}
- --source-host={{ . }}
{{- end }}
{{- range .Values.controller.hookHosts }}
- --hook-host={{ . }}
{{- end }}
{{- if .Values.controller.secretsFrom }}
- --secret-dir=/etc/serin/secrets
{{- end }}
{{- end }}
