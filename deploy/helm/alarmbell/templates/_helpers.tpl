{{- define "alarmbell.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters: a StatefulSet's pods get a hash of 10 and a dash on top, within 63. */}}
{{- define "alarmbell.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "alarmbell.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "alarmbell.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "alarmbell.selectorLabels" -}}
app.kubernetes.io/name: {{ include "alarmbell.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "alarmbell.labels" -}}
{{ include "alarmbell.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "alarmbell.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "alarmbell.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "alarmbell.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* Where all paths begin, as the server finds it: the flag, else the path of the external URL. */}}
{{- define "alarmbell.prefix" -}}
{{- $path := .Values.routePrefix -}}
{{- if and (not $path) .Values.externalUrl -}}
{{- $path = get (urlParse .Values.externalUrl) "path" -}}
{{- end -}}
{{- with $path | trimAll "/" -}}/{{ . }}{{- end -}}
{{- end -}}

{{/* In-cluster address of the port. */}}
{{- define "alarmbell.address" -}}
http://{{ include "alarmbell.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}{{ include "alarmbell.prefix" . }}
{{- end -}}

{{/* alarmbell.probe (list $ path values) */}}
{{- define "alarmbell.probe" -}}
{{- $root := index . 0 -}}
{{- if and $root.Values.webConfig.existingSecret (not $root.Values.probes.httpHeaders) -}}
tcpSocket:
  port: http
{{- else -}}
httpGet:
  path: {{ include "alarmbell.prefix" $root }}{{ index . 1 }}
  port: http
  {{- with $root.Values.probes.httpHeaders }}
  httpHeaders:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{ toYaml (index . 2) }}
{{- end -}}

{{/* What the schema can not say, or not in words that help. */}}
{{- define "alarmbell.check" -}}
{{- $v := .Values -}}
{{- $db := $v.storage.postgresql -}}
{{- if and (eq $v.storage.type "sqlite") (or $db.url $db.existingSecret) -}}
{{- fail "storage: there is a URL of a database, but storage.type is sqlite; set it to postgresql" -}}
{{- end -}}
{{- if and (eq $v.storage.type "sqlite") (gt (int $v.replicas) 1) -}}
{{- fail "replicas: SQLite is a file that one process keeps; more than one need storage.type: postgresql and its URL" -}}
{{- end -}}
{{- if and (eq $v.storage.type "postgresql") (not $db.url) (not $db.existingSecret) -}}
{{- fail "storage.postgresql: set existingSecret (a Secret with the database's URL) or url" -}}
{{- end -}}
{{- if and $db.url $db.existingSecret -}}
{{- fail "storage.postgresql: set either existingSecret or url" -}}
{{- end -}}
{{- if and $db.ca.configMap $db.ca.secret -}}
{{- fail "storage.postgresql.ca: set either configMap or secret" -}}
{{- end -}}
{{- if not (or $v.config $v.existingConfigMap) -}}
{{- fail "config: say which robots there are and who hears what (README of the chart), or name a ConfigMap of yours in existingConfigMap" -}}
{{- end -}}
{{- if and $v.config $v.existingConfigMap -}}
{{- fail "config: set either config or existingConfigMap" -}}
{{- end -}}
{{- if and $v.config (not $v.config.bots) -}}
{{- fail "config.bots: there is no bot" -}}
{{- end -}}
{{- if and $v.templates $v.existingTemplatesConfigMap -}}
{{- fail "templates: set either templates or existingTemplatesConfigMap" -}}
{{- end -}}
{{- range $bot := $v.config.bots -}}
{{- $robots := concat (list $bot) ($bot.robots | default list) -}}
{{- range $robots -}}
{{- if or .url .secret -}}
{{- fail (printf "config.bots: %s has a url or a secret in a ConfigMap, where anybody can read it. Put it into secrets.files (or a Secret of yours, secrets.existing) and name it with url_file or secret_file: /etc/alarmbell/secrets/FILE" ($bot.name | default "a bot")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.config (or $v.templates $v.existingTemplatesConfigMap) (not $v.config.templates) -}}
{{- fail "templates: the config does not read them; add config.templates: [/etc/alarmbell/templates/*.hbs]" -}}
{{- end -}}
{{- if and $v.ingress.enabled (not (include "alarmbell.host" .)) -}}
{{- fail "ingress: without ingress.host or externalUrl it has no host" -}}
{{- end -}}
{{- if le (int $v.terminationGracePeriodSeconds) (add 20 $v.drainSeconds | int) -}}
{{- fail "terminationGracePeriodSeconds: it must be more than drainSeconds and the 20 s that stopping may take" -}}
{{- end -}}
{{- end -}}

{{- define "alarmbell.host" -}}
{{- if .Values.ingress.host -}}
{{- .Values.ingress.host -}}
{{- else if .Values.externalUrl -}}
{{- get (urlParse .Values.externalUrl) "hostname" -}}
{{- end -}}
{{- end -}}
