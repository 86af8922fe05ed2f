{{/* Patches for the Deployments of callers, which are not the chart's: ConfigMap serin-patches, and NOTES. */}}
{{- define "serin.patch.tags" -}}
# A patch for each Deployment whose sidecars decide: makes labels of what the filter's counters carry in their names, so
# that Prometheus sees serin_finished_total{rollout, version, arm, cause, class}. Without it every series has one long
# name of its own. The pods are restarted: Envoy reads tags at start.
#
#   kubectl -n {{ .namespace }} patch deployment {{ .workload }} --patch-file istio/stats-tags.yaml
#
# For the whole mesh instead: the same list under `meshConfig.defaultConfig.extraStatTags` of istiod, then restart the
# pods. A pod that has this annotation already needs both contents in one.
#
# Change: the names here and in the command.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .workload }}
  namespace: {{ .namespace }}
spec:
  template:
    metadata:
      annotations:
        proxy.istio.io/config: |
          extraStatTags: [rollout, version, arm, cause, class, slot, age, progress, bin, group, event, reason]
{{- end }}

{{- define "serin.patch.fastLane" -}}
# A patch for each Deployment whose sidecars take the fast lane: the filter as a file, the clusters to start with, and
# the label by which envoyfilter-fast-lane.yaml finds them. One patch for all three, since the label without the
# clusters would cost the proxy its listeners. The pods are restarted.
#
#   kubectl -n {{ .namespace }} create configmap serin-filter --from-file=filter.wasm=target/serin/filter.wasm
#   kubectl -n {{ .namespace }} patch deployment {{ .workload }} --patch-file istio/fast-lane-workload.yaml
#
# Change: the names here and in the command. Give a new filter a ConfigMap of a new name: a file that changes under a
# running proxy is taken up by whichever push comes next, with new VMs, and the lease they remembered is gone.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .workload }}
  namespace: {{ .namespace }}
spec:
  template:
    metadata:
      labels:
        {{- toYaml .root.Values.fastLane.selector | nindent 8 }}
      annotations:
        sidecar.istio.io/bootstrapOverride: {{ .name }}-bootstrap
        sidecar.istio.io/userVolume: '[{"name": "serin-filter", "configMap": {"name": "serin-filter"}}]'
        sidecar.istio.io/userVolumeMount: '[{"name": "serin-filter", "mountPath": {{ dir .root.Values.fastLane.wasm | quote }}, "readOnly": true}]'
{{- end }}
