"""What the stage's fields and messages are called in LlamaBoard's languages."""

from __future__ import annotations

from distillm2.webui.fields import board_fields
from distillm2.webui.tab import ACCORDION

Texts = dict[str, tuple[str, str]]  # field -> label, info

LANGUAGES = ("en", "ru", "zh", "ko", "ja")
TAB = {
    "en": "DistiLLM-2 configurations",
    "ru": "Конфигурации DistiLLM-2",
    "zh": "DistiLLM-2 参数设置",
    "ko": "DistiLLM-2 구성",
    "ja": "DistiLLM-2 設定",
}
ENGLISH = {  # the infos are the arguments' help
    "teacher_model": "Teacher model",
    "teacher_adapter": "Teacher adapter",
    "teacher_cache": "Teacher cache",
    "teacher_quantization_bit": "Teacher quantization bit",
    "distill_loss": "Distillation loss",
    "distill_sft_weight": "Cross-entropy share",
    "distill_temperature": "Temperature",
    "distill_chunk_size": "Chunk size",
    "distill_alpha": "Alpha",
    "distill_alpha_schedule": "Alpha schedule",
    "distill_alpha_min": "Smallest alpha",
    "distill_beta_schedule": "Beta schedule",
}
RUSSIAN: Texts = {
    "teacher_model": (
        "Модель-учитель",
        "Путь или имя модели-учителя на хабе; не загружается, если указан кэш учителя.",
    ),
    "teacher_adapter": (
        "Адаптер учителя",
        "LoRA-адаптер учителя. Без модели-учителя он накладывается на базовую модель ученика.",
    ),
    "teacher_cache": (
        "Кэш учителя",
        "Папка, созданная командой `distillm2 cache`: логарифмы вероятностей учителя вместо самого учителя.",
    ),
    "teacher_quantization_bit": ("Квантование учителя", "Загрузить учителя в 8 или 4 битах (bitsandbytes)."),
    "distill_loss": (
        "Функция потерь",
        "distillm2: SKL на ответах учителя и SRKL на ответах ученика; distillm: SRKL на обоих (v1); "
        "kl, rkl, js: обычные дивергенции на обоих, для сравнения.",
    ),
    "distill_sft_weight": (
        "Доля кросс-энтропии",
        "Доля кросс-энтропии на ответах учителя в функции потерь, от 0 до 1; 1 — обычное дообучение.",
    ),
    "distill_temperature": ("Температура", "На неё делятся логиты обеих моделей перед вычислением дивергенции."),
    "distill_chunk_size": ("Размер порции", "Для скольких токенов ответа логиты одновременно находятся в памяти."),
    "distill_alpha": ("Альфа", "Сдвиг SKL и SRKL (доля другой модели в смеси), между 0 и 1."),
    "distill_alpha_schedule": (
        "Расписание альфы",
        "fixed: постоянная; adaptive: со второй эпохи следует за разрывом между моделями (статья).",
    ),
    "distill_alpha_min": ("Наименьшая альфа", "Нижняя граница адаптивной альфы."),
    "distill_beta_schedule": (
        "Расписание беты",
        "Веса ответов учителя и ученика. fixed: 1 и 1; paper: 1-b и b, b растёт от 0.5 до 1 "
        "во второй половине обучения; "
        "reference: 2-b и b, b растёт от 1 до 1.5.",
    ),
}
CHINESE: Texts = {
    "teacher_model": ("教师模型", "教师模型的路径或 Hub 名称；若填写了教师缓存则不加载。"),
    "teacher_adapter": ("教师适配器", "教师的 LoRA 适配器。未填写教师模型时，加载到学生的基座模型上。"),
    "teacher_cache": ("教师缓存", "由 `distillm2 cache` 生成的文件夹：用教师的对数概率代替教师模型。"),
    "teacher_quantization_bit": ("教师量化等级", "以 8 位或 4 位加载教师模型（bitsandbytes）。"),
    "distill_loss": (
        "蒸馏损失",
        "distillm2：教师回答用 SKL，学生回答用 SRKL；distillm：两者都用 SRKL（v1）；"
        "kl、rkl、js：两者都用普通散度，供对比。",
    ),
    "distill_sft_weight": ("交叉熵占比", "损失中教师回答交叉熵的占比，0 到 1；1 即普通微调。"),
    "distill_temperature": ("温度", "计算散度前，两个模型的 logits 都除以该值。"),
    "distill_chunk_size": ("分块大小", "同时在内存中保存 logits 的回答 token 数。"),
    "distill_alpha": ("Alpha", "SKL 和 SRKL 的偏斜系数（混合分布中另一模型的占比），取 0 与 1 之间。"),
    "distill_alpha_schedule": ("Alpha 策略", "fixed：固定；adaptive：从第二个 epoch 起随两个模型的差距变化（论文）。"),
    "distill_alpha_min": ("Alpha 下限", "自适应 alpha 的下限。"),
    "distill_beta_schedule": (
        "Beta 策略",
        "教师回答与学生回答的权重。fixed：1 和 1；paper：1-b 和 b，b 在训练后半程从 0.5 增至 1；"
        "reference：2-b 和 b，b 从 1 增至 1.5。",
    ),
}
KOREAN: Texts = {
    "teacher_model": ("교사 모델", "교사 모델의 경로 또는 허브 이름. 교사 캐시를 지정하면 불러오지 않습니다."),
    "teacher_adapter": (
        "교사 어댑터",
        "교사의 LoRA 어댑터. 교사 모델을 비워 두면 학생의 베이스 모델에 적용됩니다.",
    ),
    "teacher_cache": (
        "교사 캐시",
        "`distillm2 cache`로 만든 폴더. 교사 모델 대신 저장된 교사의 로그 확률을 사용합니다.",
    ),
    "teacher_quantization_bit": ("교사 양자화 비트", "교사 모델을 8비트 또는 4비트로 불러옵니다 (bitsandbytes)."),
    "distill_loss": (
        "증류 손실",
        "distillm2: 교사 응답에 SKL, 학생 응답에 SRKL. distillm: 양쪽에 SRKL (v1). "
        "kl, rkl, js: 양쪽에 일반 발산 (비교용).",
    ),
    "distill_sft_weight": (
        "교차 엔트로피 비중",
        "손실에서 교사 응답의 교차 엔트로피가 차지하는 비중 (0~1). 1이면 일반 미세 조정과 같습니다.",
    ),
    "distill_temperature": ("온도", "발산을 계산하기 전에 두 모델의 로짓을 이 값으로 나눕니다."),
    "distill_chunk_size": ("청크 크기", "로짓을 한 번에 메모리에 올리는 응답 토큰 수."),
    "distill_alpha": ("알파", "SKL과 SRKL의 치우침 정도 (혼합 분포에서 상대 모델의 비중). 0과 1 사이."),
    "distill_alpha_schedule": (
        "알파 스케줄",
        "fixed: 고정. adaptive: 두 번째 에포크부터 두 모델의 격차에 따라 조정 (논문).",
    ),
    "distill_alpha_min": ("알파 하한", "적응형 알파의 하한."),
    "distill_beta_schedule": (
        "베타 스케줄",
        "교사 응답과 학생 응답의 가중치. fixed: 1과 1. paper: 1-b와 b, b는 학습 후반부에 0.5에서 1까지 증가. "
        "reference: 2-b와 b, b는 1에서 1.5까지 증가.",
    ),
}
JAPANESE: Texts = {
    "teacher_model": ("教師モデル", "教師モデルのパスまたはハブ名。教師キャッシュを指定すると読み込まれません。"),
    "teacher_adapter": (
        "教師アダプター",
        "教師の LoRA アダプター。教師モデルが空欄の場合は生徒のベースモデルに適用されます。",
    ),
    "teacher_cache": (
        "教師キャッシュ",
        "`distillm2 cache` で作成したフォルダー。教師モデルの代わりに保存済みの対数確率を使います。",
    ),
    "teacher_quantization_bit": (
        "教師の量子化ビット",
        "教師モデルを 8 ビットまたは 4 ビットで読み込みます (bitsandbytes)。",
    ),
    "distill_loss": (
        "蒸留損失",
        "distillm2: 教師の応答に SKL、生徒の応答に SRKL。distillm: 両方に SRKL (v1)。"
        "kl、rkl、js: 両方に通常のダイバージェンス (比較用)。",
    ),
    "distill_sft_weight": (
        "交差エントロピーの割合",
        "損失に占める教師の応答の交差エントロピーの割合 (0～1)。1 は通常のファインチューニングです。",
    ),
    "distill_temperature": ("温度", "ダイバージェンスの計算前に、両モデルのロジットをこの値で割ります。"),
    "distill_chunk_size": ("チャンクサイズ", "ロジットを同時にメモリに置く応答トークン数。"),
    "distill_alpha": ("アルファ", "SKL と SRKL の偏り (混合分布に占める相手モデルの割合)。0 と 1 の間。"),
    "distill_alpha_schedule": (
        "アルファのスケジュール",
        "fixed: 固定。adaptive: 2 エポック目からモデル間の差に応じて変化 (論文)。",
    ),
    "distill_alpha_min": ("アルファの下限", "適応的アルファの下限。"),
    "distill_beta_schedule": (
        "ベータのスケジュール",
        "教師と生徒の応答の重み。fixed: 1 と 1。paper: 1-b と b、b は学習の後半に 0.5 から 1 へ増加。"
        "reference: 2-b と b、b は 1 から 1.5 へ増加。",
    ),
}
TRANSLATIONS = {"ru": RUSSIAN, "zh": CHINESE, "ko": KOREAN, "ja": JAPANESE}

ALERTS = {
    "err_no_teacher": {
        "en": "Please provide a teacher: a teacher model, a teacher adapter or a teacher cache.",
        "ru": "Пожалуйста, укажите учителя: модель-учитель, адаптер учителя или кэш учителя.",
        "zh": "请提供教师：教师模型、教师适配器或教师缓存。",
        "ko": "교사를 지정하십시오: 교사 모델, 교사 어댑터, 교사 캐시 중 하나가 필요합니다.",
        "ja": "教師を指定してください。教師モデル、教師アダプター、教師キャッシュのいずれかが必要です。",
    },
}


def locales() -> dict[str, dict[str, dict[str, str]]]:
    """Entries for LLaMA-Factory's ``LOCALES``: component -> language -> label and info."""
    entries = {ACCORDION: {lang: {"label": TAB[lang]} for lang in LANGUAGES}}
    for name, field in board_fields().items():
        entries[name] = {"en": {"label": ENGLISH[name], "info": field.info}}
        for lang, texts in TRANSLATIONS.items():
            label, info = texts[name]
            entries[name][lang] = {"label": label, "info": info}
    return entries
