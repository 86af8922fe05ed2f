{{/* What the controller's objects are called. */}}
{{- define "serin.name" -}}
{{ default .Release.Name .Values.fullnameOverride | replace "." "-" | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "serin.account" -}}
{{ default (include "serin.name" .) .Values.serviceAccount.name }}
{{- end }}

{{/* The service by its full name, as proxies know it. */}}
{{- define "serin.host" -}}
{{ include "serin.name" . }}.{{ .Release.Namespace }}.svc.{{ .Values.mesh.clusterDomain }}
{{- end }}

{{/* Labels of every object. No version among them: a changed label of a plugin is a push to all its proxies. */}}
{{- define "serin.labels" -}}
{{- if .Values.standardLabels }}
app.kubernetes.io/name: serin
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- end }}

{{- define "serin.metadata" }}
{{- if .Values.standardLabels }}
  labels:
    {{- include "serin.labels" . | trim | nindent 4 }}
{{- end }}
{{- end }}

{{/* Namespaces whose sidecars decide, each once. */}}
{{- define "serin.callers" -}}
{{- $all := list }}
{{- if .Values.plugin.enabled }}{{ $all = concat $all .Values.plugin.namespaces }}{{ end }}
{{- if .Values.fastLane.enabled }}{{ $all = concat $all .Values.fastLane.namespaces }}{{ end }}
{{- $all | uniq | toJson }}
{{- end }}

{{/*
TrafficExtension or WasmPlugin. Where a WasmPlugin is there already it stays one, served as both: a change of kind would put two
filters into the chain for a moment.
*/}}
{{- define "serin.plugin.kind" -}}
{{- if ne .Values.plugin.kind "auto" }}{{ .Values.plugin.kind }}
{{- else if not (.Capabilities.APIVersions.Has "extensions.istio.io/v1alpha1/TrafficExtension") }}WasmPlugin
{{- else }}
{{- $kind := "TrafficExtension" }}
{{- range .Values.plugin.namespaces }}
{{- if lookup "extensions.istio.io/v1alpha1" "WasmPlugin" . $.Values.plugin.name }}{{ $kind = "WasmPlugin" }}{{ end }}
{{- end }}
{{- $kind }}
{{- end }}
{{- end }}

{{/* The value that header has in requests of the service; one header for all services of a plugin. */}}
{{- define "serin.headers" -}}
{{- $all := list }}
{{- range .Values.services }}{{ $all = append $all (default $.Values.mesh.header .header) }}{{ end }}
{{- if not $all }}{{ $all = list .Values.mesh.header }}{{ end }}
{{- $all | uniq | toJson }}
{{- end }}

{{- define "serin.service.host" -}}
{{- $service := index . 1 }}{{ $root := index . 0 }}
{{- default (printf "%s.%s.svc.%s" $service.name $service.namespace $root.Values.mesh.clusterDomain) $service.host }}
{{- end }}

{{/* What the schema cannot say. */}}
{{- define "serin.checks" -}}
{{- if and .Values.plugin.enabled (not .Values.plugin.namespaces) }}
{{- fail "plugin.namespaces: say where the callers run, such as [models]" }}
{{- end }}
{{- if and .Values.fastLane.enabled (not .Values.fastLane.namespaces) }}
{{- fail "fastLane.namespaces: say where the callers run, such as [models]" }}
{{- end }}
{{- if and .Values.plugin.enabled .Values.plugin.write (eq .Values.plugin.policy "initial") }}
{{- fail "plugin.policy is initial, so the chart writes the policy, and plugin.write says that the controller does: an upgrade would reset what it wrote; choose one" }}
{{- end }}
{{- if and .Values.plugin.enabled (eq .Values.plugin.policy "initial") (not .Values.services) }}
{{- fail "plugin.policy is initial, and there is none for no service: say services" }}
{{- end }}
{{- if and .Values.monitoring.serviceMonitor.enabled (not .Values.standardLabels) }}
{{- fail "monitoring.serviceMonitor selects by the labels of standardLabels: switch them on" }}
{{- end }}
{{- with .Values.networkPolicy }}
{{- if and $.Values.monitoring.serviceMonitor.enabled .enabled (not .monitoring) (not .from) }}
{{- fail "monitoring.serviceMonitor is on, and the NetworkPolicy keeps Prometheus out: set networkPolicy.monitoring to the namespace it runs in" }}
{{- end }}
{{- end }}
{{- if hasKey .Values.controller.podLabels "app" }}
{{- fail "controller.podLabels.app: the Service selects the controller by this label; leave it out" }}
{{- end }}
{{- $repeated := list "--proxy-metrics" "--allowed-host" "--source-host" "--hook-host" "--kubernetes-workloads" "--istio-plugin" }}
{{- range $extra := .Values.controller.extraArgs }}
{{- $name := splitList "=" $extra | first }}
{{- range $known := include "serin.arguments.own" $ | fromYamlArray }}
{{- if and (eq $name (splitList "=" $known | first)) (not (has $name $repeated)) }}
{{- fail (printf "controller.extraArgs: %s, and other values of the chart say %s; change those" $extra $known) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (gt (int .Values.replicas) 1) .Values.store.existingClaim }}
{{- fail "store.existingClaim is one, and each of several replicas has a store of its own: leave it out" }}
{{- end }}
{{- if and .Values.evidence.prometheus.url .Values.evidence.proxyMetrics }}
{{- fail "evidence.prometheus.url stands alone: leave evidence.proxyMetrics out" }}
{{- end }}
{{- end }}
