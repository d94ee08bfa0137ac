{{/* The pod of both modes. */}}
{{- define "alarmbell.pod" -}}
{{- $v := .Values -}}
{{- $postgresql := eq $v.storage.type "postgresql" -}}
{{- $name := include "alarmbell.fullname" . -}}
metadata:
  # Not the chart's version: a new chart alone is no reason for a restart.
  labels:
    {{- include "alarmbell.selectorLabels" . | nindent 4 }}
    {{- with $v.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $v.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $v.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "alarmbell.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  # Stopping finishes what is in flight; what waits is in the store.
  terminationGracePeriodSeconds: {{ $v.terminationGracePeriodSeconds }}
  {{- with $v.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $v.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: alarmbell
      image: {{ include "alarmbell.image" . | quote }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args:
        - serve
        - --config.file=/etc/alarmbell/config/alarmbell.yml
        - --config.auto-reload-interval={{ $v.autoReloadInterval }}
        - --storage.path=/data
        - --storage.retention.time={{ $v.storage.retention }}
        {{- if $postgresql }}
        - --storage.url-file=/etc/alarmbell/storage/url
        {{- if $v.storage.postgresql.passwordSecret.name }}
        - --storage.password-file=/etc/alarmbell/storage/password
        {{- end }}
        {{- end }}
        - --web.listen-address=:8060
        {{- with $v.externalUrl }}
        - {{ printf "--web.external-url=%s" . | quote }}
        {{- end }}
        {{- with $v.routePrefix }}
        - {{ printf "--web.route-prefix=%s" . | quote }}
        {{- end }}
        {{- if $v.webConfig.existingSecret }}
        - --web.config.file=/etc/alarmbell/web/web.yml
        {{- end }}
        {{- if $v.enableLifecycle }}
        - --web.enable-lifecycle
        {{- end }}
        {{- if $v.enableAdminApi }}
        - --web.enable-admin-api
        {{- end }}
        - --log.level={{ $v.log.level }}
        - --log.format={{ $v.log.format }}
        {{- range $v.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      {{- with $v.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: 8060
          protocol: TCP
      {{- if and $postgresql $v.drainSeconds (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) }}
      lifecycle:
        # The port closes at SIGTERM. Until every node has heard that this pod ends, some still send to it.
        preStop:
          sleep:
            seconds: {{ $v.drainSeconds }}
      {{- end }}
      startupProbe:
        {{- include "alarmbell.probe" (list . "/-/healthy" $v.probes.startup) | nindent 8 }}
      livenessProbe:
        {{- include "alarmbell.probe" (list . "/-/healthy" $v.probes.liveness) | nindent 8 }}
      readinessProbe:
        {{- include "alarmbell.probe" (list . "/-/ready" $v.probes.readiness) | nindent 8 }}
      {{- with $v.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: data
          mountPath: /data
        - name: config
          mountPath: /etc/alarmbell/config
          readOnly: true
        {{- if or $v.templates $v.existingTemplatesConfigMap }}
        - name: templates
          mountPath: /etc/alarmbell/templates
          readOnly: true
        {{- end }}
        {{- if or $v.secrets.files $v.secrets.existing }}
        - name: secrets
          mountPath: /etc/alarmbell/secrets
          readOnly: true
        {{- end }}
        {{- if $postgresql }}
        - name: storage
          mountPath: /etc/alarmbell/storage
          readOnly: true
        {{- with $v.storage.postgresql.ca }}
        {{- if or .configMap .secret }}
        - name: postgresql-ca
          mountPath: /etc/alarmbell/postgresql-ca
          readOnly: true
        {{- end }}
        {{- end }}
        {{- end }}
        {{- if $v.webConfig.existingSecret }}
        - name: web
          mountPath: /etc/alarmbell/web
          readOnly: true
        {{- end }}
        {{- with $v.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- if $postgresql }}
    # What makes a container that is started again known as the one before. Nothing that counts.
    - name: data
      emptyDir:
        sizeLimit: 16Mi
    {{- else if $v.storage.sqlite.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ $v.storage.sqlite.existingClaim }}
    {{- end }}
    - name: config
      configMap:
        name: {{ default $name $v.existingConfigMap }}
    {{- if or $v.templates $v.existingTemplatesConfigMap }}
    - name: templates
      configMap:
        name: {{ default (printf "%s-templates" $name) $v.existingTemplatesConfigMap }}
    {{- end }}
    {{- if or $v.secrets.files $v.secrets.existing }}
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- if $v.secrets.files }}
          - secret:
              name: {{ $name }}
          {{- end }}
          {{- range $v.secrets.existing }}
          - secret:
              name: {{ . }}
          {{- end }}
    {{- end }}
    {{- if $postgresql }}
    - name: storage
      projected:
        defaultMode: 0440
        sources:
          - secret:
              name: {{ default (printf "%s-storage" $name) $v.storage.postgresql.existingSecret }}
              items:
                - key: {{ ternary $v.storage.postgresql.existingSecretKey "url" (ne $v.storage.postgresql.existingSecret "") }}
                  path: url
          {{- with $v.storage.postgresql.passwordSecret }}
          {{- if .name }}
          - secret:
              name: {{ .name }}
              items:
                - key: {{ .key }}
                  path: password
          {{- end }}
          {{- end }}
    {{- with $v.storage.postgresql.ca }}
    {{- if .configMap }}
    - name: postgresql-ca
      configMap:
        name: {{ .configMap }}
        items:
          - key: {{ .key }}
            path: ca.crt
    {{- else if .secret }}
    - name: postgresql-ca
      secret:
        secretName: {{ .secret }}
        defaultMode: 0440
        items:
          - key: {{ .key }}
            path: ca.crt
    {{- end }}
    {{- end }}
    {{- end }}
    {{- with $v.webConfig }}
    {{- if .existingSecret }}
    - name: web
      secret:
        secretName: {{ .existingSecret }}
        defaultMode: 0440
        items:
          - key: {{ .key }}
            path: web.yml
    {{- end }}
    {{- end }}
    {{- with $v.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $v.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $postgresql }}
  {{- if not (kindIs "invalid" $v.topologySpreadConstraints) }}
  {{- with $v.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- else }}
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "alarmbell.selectorLabels" $ | nindent 10 }}
      # Each version is spread by itself, so that a rolling update does not end lopsided.
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}
